"""A trained model as files for other programs."""

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import seqio

from primer import saved_model
from primer.checkpoints import checkpoint_files, saved_config, selection
from primer.common import files
from primer.convert import model_card, model_directories, safe_tensors
from primer.convert.huggingface import families, tokenizer_json, weights
from primer.convert.pytorch import folder as pytorch_folder
from primer.errors import UsageError
from primer.gin_config import trust as trusted_config
from primer.gin_config.values import configured
from primer.saved_model import SavedModel

HUGGINGFACE, PYTORCH, SAFETENSORS, NPZ = FORMATS = (
    *("huggingface", "pytorch", "safetensors", "npz"),
)
DESCRIPTION = "model.json"
_NPZ = "model.npz"
_CONFIG = "config.gin"
# The id from which training and evaluation predict the first token of a row.
_START = 0


@dataclasses.dataclass(frozen=True)
class Source:
    """What is exported, inside of `saved_model.settings_of`.

    Attributes:
        model_dir: the directory of the run.
        step: that of the checkpoint.
        saved: its model.
        variables: {variable: array} of the weights, float32.
    """

    model_dir: str
    step: int
    saved: SavedModel
    variables: Mapping[str, np.ndarray]


def run(
    model_dir: str,
    output: str,
    format: str,
    checkpoint: str | int = "latest",
    trust: tuple[str, ...] = (),
) -> list[str]:
    """Writes a checkpoint as files for other programs, whole or not at all.

    Args:
        model_dir: a directory that was trained in.
        output: a folder that does not exist, or is empty.
        format: one of FORMATS.
        checkpoint: "latest", "best" or a step.
        trust: Python modules that the directory's `config.gin` may import, besides Primer's.

    Returns:
        Sentences on what was written.

    Raises:
        UsageError: there is no such checkpoint; the folder has files; no class of Hugging Face
            computes what the model does.
        RunError: the checkpoint is damaged, or the folder cannot be written.
    """
    model_directories.check_is_new(output, "--output")
    config = saved_config.config_file(model_dir)
    trusted_config.check_config(config, trust)
    path = selection.select_checkpoint(model_dir, checkpoint)
    step = checkpoint_files.step_of(path)
    with saved_model.settings_of(model_dir, config):
        saved = saved_model.build(model_dir)
        variables = model_directories.read_weights(model_dir, path)
        source = Source(model_dir, step, saved, variables)
        with model_directories.new_folder(output, "--output") as folder:
            sentences = _WRITERS[format](source, folder)
            shutil.copyfile(config, os.path.join(folder, _CONFIG))
    return [f"Written to {output}: step {step} of {model_dir}", *sentences]


def _huggingface(source: Source, folder: str) -> list[str]:
    """Writes what `AutoModelForCausalLM.from_pretrained` reads."""
    found = families.match(source.saved)
    vocabulary = source.saved.vocabulary
    state = weights.exported(found.weights, source.variables, vocabulary.vocab_size)
    special = _special_ids(vocabulary)
    files.write_json(os.path.join(folder, "config.json"), {**found.config, **special})
    files.write_json(os.path.join(folder, "generation_config.json"), special)
    safe_tensors.write(folder, state)
    missing = _tokenizer(source, folder)
    example = model_card.TRANSFORMERS_IDS if missing else model_card.TRANSFORMERS
    model_card.write(folder, source.model_dir, source.step, source.saved, example)
    count = sum(array.size for array in state.values())
    what = f"{found.config['architectures'][0]}, {count:,} parameters in {len(state)} weights"
    return [what, *([missing] if missing else [])]


def _special_ids(vocabulary: seqio.Vocabulary) -> dict[str, Any]:
    """Returns what Hugging Face's configurations have of the ids."""
    return {
        "bos_token_id": _START,
        "eos_token_id": vocabulary.eos_id,
        "pad_token_id": vocabulary.pad_id,
    }


def _tokenizer(source: Source, folder: str) -> str:
    """Writes the tokenizer; returns "", or why there is none, as for random ids."""
    vocabulary = source.saved.vocabulary
    try:
        content = tokenizer_json.of_vocabulary(vocabulary)
    except UsageError as error:
        return f"without a tokenizer: {error}"
    files.write_json(os.path.join(folder, "tokenizer.json"), content)
    config = tokenizer_json.config_of(content, vocabulary.eos_id, source.saved.length)
    files.write_json(os.path.join(folder, "tokenizer_config.json"), config)
    return ""


def _pytorch(source: Source, folder: str) -> list[str]:
    """Writes one PyTorch file for exactly this model, and its weights under the file's names."""
    described = _description(source)
    names = pytorch_folder.write(
        folder,
        {**described, "title": f"trained on {source.saved.task_name}, step {source.step}"},
        source.variables,
        _special_ids(source.saved.vocabulary),
        configured("TokenEmbedding.width_multiplier"),
    )
    files.write_json(os.path.join(folder, DESCRIPTION), {**described, "names": names})
    missing = _tokenizer(source, folder)
    example = model_card.REMOTE_CODE
    model_card.write(folder, source.model_dir, source.step, source.saved, example)
    count = sum(array.size for array in source.variables.values())
    what = f"{count:,} parameters in {len(names)} weights, and {pytorch_folder.FILE}, their model"
    return [what, *([missing] if missing else [])]


def _safetensors(source: Source, folder: str) -> list[str]:
    """Writes the weights under our names, with the description of the model."""
    safe_tensors.write(folder, source.variables)
    return _described(source, folder)


def _npz(source: Source, folder: str) -> list[str]:
    """Writes the weights under our names as NumPy arrays, with the description of the model."""
    arrays: dict[str, Any] = dict(source.variables)
    np.savez(os.path.join(folder, _NPZ), **arrays)
    return _described(source, folder)


def _description(source: Source) -> dict[str, Any]:
    """Returns what `model.json` has."""
    vocabulary = source.saved.vocabulary
    return {
        "step": source.step,
        "length": source.saved.length,
        "token_ids": vocabulary.vocab_size,
        "end_token_id": vocabulary.eos_id,
        "start_token_id": _START,
        "slots": families.slot_values(),
        **model_directories.description_of(source.saved),
        "shapes": {name: list(array.shape) for name, array in source.variables.items()},
    }


def _described(source: Source, folder: str) -> list[str]:
    files.write_json(os.path.join(folder, DESCRIPTION), _description(source))
    model_card.write(folder, source.model_dir, source.step, source.saved, "")
    count = sum(array.size for array in source.variables.values())
    return [
        f"{count:,} parameters in {len(source.variables)} weights; {DESCRIPTION} describes the "
        "layers and their settings"
    ]


_WRITERS: dict[str, Callable[[Source, str], list[str]]] = {
    HUGGINGFACE: _huggingface,
    PYTORCH: _pytorch,
    SAFETENSORS: _safetensors,
    NPZ: _npz,
}
