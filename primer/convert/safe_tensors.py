"""Arrays in files of the format safetensors (https://huggingface.co/docs/safetensors)."""

import os
from collections.abc import Mapping

import numpy as np
import safetensors
from safetensors.numpy import save_file

from primer.common import files
from primer.errors import RunError

NAME = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD_BYTES = 5_000_000_000  # Of a file; as transformers writes them.
_FLOATS = ("float64", "float32", "float16", "bfloat16")


def read(path: str) -> dict[str, np.ndarray]:
    """Returns {name: array} of a file, bfloat16 and others as float32.

    Raises:
        RunError: the file is damaged, or has something else than floating-point numbers.
    """
    try:
        with safetensors.safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path} is no file of safetensors, or damaged: {error}") from error
    for name, array in arrays.items():
        if array.dtype.name not in _FLOATS:
            raise RunError(f"{path}: {name} is {array.dtype.name}; expected {', '.join(_FLOATS)}")
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


def write(folder: str, arrays: Mapping[str, np.ndarray], shard_bytes: int = SHARD_BYTES) -> None:
    """Writes arrays to a folder as `model.safetensors`, or as shards with an index.

    Args:
        folder: an existing folder.
        arrays: {name: array}.
        shard_bytes: the most bytes of a file, unless one array is larger.
    """
    shards = _shards(arrays, shard_bytes)
    names = [f"model-{i:05d}-of-{len(shards):05d}.safetensors" for i in range(1, len(shards) + 1)]
    for name, own in zip(names if len(shards) > 1 else [NAME], shards, strict=True):
        values = {key: np.ascontiguousarray(arrays[key]) for key in own}
        save_file(values, os.path.join(folder, name), metadata={"format": "pt"})
    if len(shards) > 1:
        places = {key: name for name, own in zip(names, shards) for key in own}
        total = sum(array.nbytes for array in arrays.values())
        index = {"metadata": {"total_size": total}, "weight_map": places}
        files.write_json(os.path.join(folder, INDEX), index)


def _shards(arrays: Mapping[str, np.ndarray], shard_bytes: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    size = 0
    for name, array in arrays.items():
        if shards[-1] and size + array.nbytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += array.nbytes
    return shards
