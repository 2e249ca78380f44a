"""What exported PyTorch files compute: run by .venv-torch's Python, without this package.

    python torch_side.py INPUT.json OUTPUT.npz

INPUT has "folders" {name: folder}, "rows" and "segments" (the last row is one text), and
"transformers": names of folders that transformers loads too.
"""

import importlib.util
import json
import os
import sys
import traceback

import numpy as np
import torch

PROMPT = 5


def main(given, output):
    """Writes for each folder packed, whole and stepwise logits, or the error."""
    asked = json.loads(open(given, encoding="utf-8").read())
    rows, segments = (torch.tensor(asked[name]) for name in ("rows", "segments"))
    found = {}
    for name, folder in asked["folders"].items():
        try:
            answer = of_folder(name, folder, rows, segments, name in asked["transformers"])
        except Exception as error:  # The test says which folder, and goes on with the others.
            answer = {"error": "".join(traceback.format_exception(error))}
        found |= {f"{name}/{key}": value for key, value in answer.items()}
    np.savez(output, **found)


@torch.no_grad()
def of_folder(name, folder, rows, segments, with_transformers):
    """Returns the logits of a folder's model."""
    path = os.path.join(folder, "modeling_primer.py")
    spec = importlib.util.spec_from_file_location(f"own_{abs(hash(name))}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.load(folder)
    text = rows[-1:]
    cache, steps = {}, []
    for part in (text[:, :PROMPT], *text[:, PROMPT:].split(1, 1)):
        steps.append(model(part, cache=cache))
    found = {
        "packed": model(rows, segments),
        "whole": model(text),
        "steps": torch.cat(steps, 1),
        "greedy": model.generate(text[:, :PROMPT], 6, stop_at_end=False),
    }
    if with_transformers:
        from transformers import AutoModelForCausalLM

        theirs = AutoModelForCausalLM.from_pretrained(
            folder, trust_remote_code=True, dtype=torch.float32
        ).eval()
        found["transformers"] = theirs(text).logits
        prompt = text[:, :PROMPT]
        found["transformers_greedy"] = theirs.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=6,
            do_sample=False,
            eos_token_id=None,
        )
    narrow = model.bfloat16()(text)
    assert narrow.dtype == torch.bfloat16 and narrow.isfinite().all()
    return {key: value.numpy() for key, value in found.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
