"""Tensors of a file of torch.save, without torch and without running what the file contains.

Such a file is a zip archive of one pickle and the bytes of each storage
(https://pytorch.org/docs/stable/notes/serialization.html). A pickle may name any function to be
called; here it may name only those that rebuild tensors, and anything else is refused.
"""

import collections
import math
import pickle
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from primer.errors import RunError

# torch's class of a storage -> the type of its elements.
_TYPES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


def read(path: str) -> dict[str, np.ndarray]:
    """Returns {name: array} of a file of weights, floating-point numbers as float32.

    Raises:
        RunError: the file is damaged, is no dict of tensors, or names code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            state = _read_archive(archive)
    except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError) as error:
        raise RunError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(v, np.ndarray) for v in state.values()):
        raise RunError(f"{path}: expected a dict of tensors, as model.state_dict() is")
    return {str(name): _as_float(array) for name, array in state.items()}


def _as_float(array: np.ndarray) -> np.ndarray:
    is_float = array.dtype.kind == "f" or array.dtype == ml_dtypes.bfloat16
    return array.astype(np.float32) if is_float else array


def _read_archive(archive: zipfile.ZipFile) -> Any:
    names = [name for name in archive.namelist() if name.endswith("data.pkl")]
    if len(names) != 1:
        raise pickle.UnpicklingError("it has no data.pkl: expected a file of torch.save")
    folder = names[0].removesuffix("data.pkl")
    if folder + "byteorder" in archive.namelist():
        if archive.read(folder + "byteorder") != b"little":
            raise pickle.UnpicklingError("its numbers are big-endian")
    with archive.open(names[0]) as file:
        return _Reader(file, lambda key: archive.read(f"{folder}data/{key}")).load()


class _Reader(pickle.Unpickler):
    """An unpickler that knows tensors alone."""

    def __init__(self, file: Any, storage_bytes: Callable[[str], bytes]) -> None:
        super().__init__(file)
        self._storage_bytes = storage_bytes
        self._storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Returns one of the few names that weights need."""
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda data, *_: data
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(
            f"it names {module}.{name}, which is not read: expected tensors alone"
        )

    def persistent_load(self, pid: Any) -> np.ndarray:
        """Returns a storage, an array of one dimension."""
        kind, dtype, key, _, size = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"it has a {kind!r}: expected storages")
        if key not in self._storages:
            array = np.frombuffer(self._storage_bytes(key), dtype)
            if len(array) < size:
                raise ValueError(f"the storage {key} has {len(array)} of {size} elements")
            self._storages[key] = array
        return self._storages[key]


def _rebuilt(
    storage: np.ndarray, offset: int, shape: Sequence[int], stride: Sequence[int], *_: Any
) -> np.ndarray:
    """A tensor as a copy of its part of a storage; raises ValueError where it reaches beyond."""
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride))
    numbers = (offset, *shape, *stride)
    is_inside = 0 in shape or last < len(storage)
    # Expanded dimensions, of stride 0, could ask for any amount of memory.
    if min(numbers) < 0 or not is_inside or math.prod(shape) > len(storage):
        raise ValueError(f"a tensor of {tuple(shape)} reaches beyond its storage")
    steps = [step * storage.itemsize for step in stride]
    view = np.lib.stride_tricks.as_strided(storage[offset:], tuple(shape), steps)
    return view.copy()
