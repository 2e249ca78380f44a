"""A folder of a Hugging Face model: its configuration, and its weights one by one."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from primer.convert import safe_tensors
from primer.convert.huggingface import pickled_state
from primer.errors import RunError, UsageError

CONFIG = "config.json"
# One file, and the list of the files of weights in several.
_SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def read_config(folder: str) -> dict[str, Any]:
    """Returns the configuration of a folder, a dict.

    Raises:
        UsageError: there is no such folder, or no configuration in it.
    """
    if not os.path.isdir(folder):
        raise UsageError(f"--from = {folder!r}: there is no such folder")
    path = os.path.join(folder, CONFIG)
    if not os.path.exists(path):
        raise UsageError(
            f"--from = {folder!r} has no {CONFIG}: expected the folder of a Hugging Face model"
        )
    config = _read_json(path)
    if not isinstance(config.get("model_type"), str):
        raise UsageError(f"{path} has no model_type: expected the settings of a model")
    return config


def read_weights(folder: str) -> dict[str, np.ndarray]:
    """Returns {name: float array} of the weights of a folder.

    `model.safetensors` or its shards; else `pytorch_model.bin` or its shards, of which nothing but
    tensors is read, and no code in them runs.

    Raises:
        UsageError: there are none, or a shard is missing.
        RunError: a file is damaged, or is not what its name says.
    """
    for names, read in ((_SAFETENSORS, safe_tensors.read), (_PICKLED, pickled_state.read)):
        found = _files(folder, *names)
        if found:
            arrays: dict[str, np.ndarray] = {}
            for path in found:
                arrays |= read(path)
            return arrays
    raise UsageError(
        f"--from = {folder!r} has no weights: expected {_SAFETENSORS[0]} or {_PICKLED[0]}, or "
        "their shards with an index"
    )


def _files(folder: str, single: str, index: str) -> list[str]:
    """Returns the paths of the files of weights; [] where there are none of this kind."""
    path = os.path.join(folder, index)
    if not os.path.exists(path):
        whole = os.path.join(folder, single)
        return [whole] if os.path.exists(whole) else []
    shards = _read_json(path).get("weight_map")
    if not isinstance(shards, Mapping) or not all(isinstance(v, str) for v in shards.values()):
        raise RunError(f"{path} has no weight_map: expected an index of shards")
    names = sorted(set(shards.values()))
    for name in names:
        if os.path.basename(name) != name:
            raise RunError(f"{path} names the shard {name!r}: expected a file of its own folder")
        if not os.path.exists(os.path.join(folder, name)):
            raise UsageError(
                f"--from = {folder!r} has no {name}, one of the {len(names)} files that {index} "
                "names: copy all of them"
            )
    return [os.path.join(folder, name) for name in names]


def _read_json(path: str) -> dict[str, Any]:
    with _damaged(path), open(path, encoding="utf-8") as file:
        content = json.load(file)
    if not isinstance(content, dict):
        raise RunError(f"{path}: expected a JSON object")
    return content


@contextlib.contextmanager
def _damaged(path: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError, RecursionError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
