"""The README.md of an export: what the model is, its numbers with their protocol, how to use it."""

import os
from collections.abc import Mapping
from typing import Any

from primer import __version__
from primer.evaluation.stored import result_lines
from primer.saved_model import SavedModel

NAME = "README.md"
TRANSFORMERS = """```python
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{folder}")
model = AutoModelForCausalLM.from_pretrained("{folder}", dtype=torch.float32)
ids = tokenizer.bos_token + "..."  # Every row begins with this token.
inputs = tokenizer(ids, return_tensors="pt", split_special_tokens=False)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))
```
"""
TRANSFORMERS_IDS = """```python
import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("{folder}", dtype=torch.float32)
ids = torch.tensor([[0, 17, 5]])  # Every row begins with the id 0.
print(model.generate(ids, max_new_tokens=40))
```
"""
REMOTE_CODE = """```python
import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("{folder}", trust_remote_code=True)
ids = torch.tensor([[0, 17, 5]])  # Every row begins with the id 0.
print(model.generate(ids, max_new_tokens=40))
```

Without transformers, with PyTorch and safetensors, in this folder:

```python
import torch
from modeling_primer import load

print(load().generate(torch.tensor([[0, 17, 5]]), 40))
```
"""


def write(folder: str, model_dir: str, step: int, saved: SavedModel, example: str) -> None:
    """Writes the card.

    Args:
        folder: the export's.
        model_dir: the directory of the run, whose results of `primer eval` are read.
        step: the step of the checkpoint.
        saved: the model.
        example: code that uses the export, with {folder}; "" for none.
    """
    text = _text(saved, step, _results(model_dir, step), example)
    with open(os.path.join(folder, NAME), "w", encoding="utf-8") as file:
        file.write(text)


def _results(model_dir: str, step: int) -> list[Mapping[str, Any]]:
    """Returns the results of a step: one of each split and protocol, of the function as trained."""
    found: list[Mapping[str, Any]] = []
    for path in result_lines.local_files(model_dir):
        with open(path, "rb") as file:
            rows = result_lines.that_count(result_lines.parse(file.read(), path))
        found += [row for own in rows for row in own if row["step"] == step]
    return found


def _text(saved: SavedModel, step: int, rows: list[Mapping[str, Any]], example: str) -> str:
    vocabulary = saved.vocabulary
    lines = [
        "# A language model of Primer",
        "",
        f"Trained on the task `{saved.task_name}` with Primer {__version__}; the checkpoint of "
        f"step {step:,}. `config.gin` has all settings of its training.",
        "",
        f"- Windows of {saved.length:,} tokens, {vocabulary.vocab_size:,} token ids.",
        "- Every row begins with the id 0, from which the first token is predicted; a document "
        f"ends with the id {vocabulary.eos_id}.",
        "",
        "## Numbers",
        "",
        *(_table(rows) if rows else ["This checkpoint was not evaluated (`primer eval`)."]),
        "",
        *(["## Use", "", example.replace("{folder}", "PATH_OF_THIS_FOLDER")] if example else []),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _table(rows: list[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| data | protocol | nats per token | perplexity per token | bits per byte | tokens |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        data = f"{row.get('task')}, {row.get('split')}"
        other = f" ({row['not_as_trained']})" if row.get("not_as_trained") else ""
        numbers = (f"{row['nats_per_token']:.4f}", f"{row['perplexity_per_token']:.2f}")
        bits = row.get("bits_per_byte")
        written = f"{bits:.4f}" if isinstance(bits, float) else "-"
        lines.append(
            f"| {data} | {row['protocol']}{other} | {' | '.join(numbers)} | {written} | "
            f"{row['tokens']:,} |"
        )
    return [*lines, "", *(f"{row['protocol']}: {row['how']}" for row in rows)]
