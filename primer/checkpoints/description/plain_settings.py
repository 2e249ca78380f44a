"""The settings that an object holds, as plain data that JSON can store.

The walk enters whatever an object holds: other objects, lists, dicts, the arguments of partial
functions, the variables of closures. It leaves out the settings that do not decide the function
which a model computes (`decides_function`).
"""

import functools
import hashlib
import json
import math
import types
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.common.class_names import class_name

# Where variables and activations are, what is computed twice, and the names of variables. The
# shapes of the variables have a maximum length where it matters.
_NOT_FUNCTION = {
    *("name", "layout", "mesh_shape", "recompute", "recompute_grads", "max_length"),
    "max_length_dim",
}
# Words in the names of settings that act in training only: they decide which weights training
# finds, and not what the model computes with them.
_TRAINING_WORDS = {"train", "training", "dropout", "jitter", "loss", "losses", "smoothing"}
# Initial values are replaced by those of a checkpoint.
_INITIAL_WORDS = {"initializer", "stddev"}
# In spite of its words: whether queries are divided by the square root of their size.
_FUNCTION = {"fold_scaling_into_initializer"}
# A word in the names of settings that an evaluation may choose for itself.
_EVALUATION_WORDS = {"eval", "evaluate", "evaluation"}
# Objects of these packages are named by their class.
_NOT_ENTERED = ("tensorflow", "seqio", "gin")
_PLAIN_TYPES = (bool, int, str, type(None))
_OPAQUE_TYPES = (mtf.Tensor, mtf.Operation, mtf.Mesh, mtf.Graph, tf.Tensor, tf.Operation, tf.Graph)
_OPAQUE = object()


def decides_function(name: str) -> bool:
    """Returns whether a setting of this name decides the function that a model computes."""
    if name in _FUNCTION:
        return True
    words = set(name.split("_"))
    return name not in _NOT_FUNCTION and not words & (_TRAINING_WORDS | _INITIAL_WORDS)


def is_of_evaluation(name: str) -> bool:
    """Returns whether an evaluation may choose a setting of this name for itself."""
    return bool(set(name.split("_")) & _EVALUATION_WORDS)


def held_by(thing: Any, without: Collection[str] = ()) -> dict[str, Any]:
    """Returns the settings that an object holds, {attribute without leading "_": plain value}.

    Args:
        thing: any object.
        without: attributes to leave out, without leading "_".
    """
    attributes = {key: value for key, value in _attributes(thing) if key not in without}
    return _mapping(attributes, (id(thing),))


def plain(value: Any) -> Any:
    """Returns a value as plain data: numbers, strings, lists, dicts; None for a tensor."""
    found = _plain(value, ())
    return None if found is _OPAQUE else found


def as_pairs(values: Mapping[str, Any]) -> list[list[Any]]:
    """Returns a dict's [key, value] pairs, sorted.

    A dict that the user sets is stored so: a key that only one of two has is a difference, which it
    is not of the attributes of objects, where another version may have more.
    """
    return [[key, values[key]] for key in sorted(values)]


def fingerprint(data: Any) -> str:
    """Returns 16 hexadecimal digits of the SHA-256 of plain data; 1 and 1.0 are equal."""
    text = json.dumps(_whole_numbers(data), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    slots = getattr(type(thing), "__slots__", ())
    names = [*getattr(thing, "__dict__", ()), *([slots] if isinstance(slots, str) else slots)]
    for name in sorted(set(names) - {"__dict__", "__weakref__"}):
        if hasattr(thing, name):
            yield name.lstrip("_"), getattr(thing, name)


def _mapping(values: Mapping[Any, Any], within: tuple[int, ...]) -> dict[str, Any]:
    found = {str(key): _plain(value, within) for key, value in values.items()}
    return {
        key: value for key, value in found.items() if value is not _OPAQUE and decides_function(key)
    }


def _plain(value: Any, within: tuple[int, ...]) -> Any:
    """Returns plain data; `within` has the ids of the objects around, against endless cycles."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _PLAIN_TYPES):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, mtf.Dimension):
        return value.size
    if isinstance(value, mtf.Shape):
        return value.to_integer_list
    if isinstance(value, tf.DType):
        return value.name
    if isinstance(value, (*_OPAQUE_TYPES, types.ModuleType)):
        return _OPAQUE
    if isinstance(value, np.ndarray):
        content = np.ascontiguousarray(value)
        return [str(value.dtype), *value.shape, hashlib.sha256(content.data).hexdigest()[:16]]
    if id(value) in within:
        return class_name(value)
    return _compound(value, (*within, id(value)))


def _compound(value: Any, within: tuple[int, ...]) -> Any:
    if isinstance(value, Mapping):
        return as_pairs(_mapping(value, within))
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [item for item in (_plain(i, within) for i in value) if item is not _OPAQUE]
        return items if isinstance(value, (list, tuple)) else sorted(items, key=repr)
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, functools.partial):
        arguments = {"of": value.func, "arguments": value.args, "keywords": value.keywords}
        return {"function": name_of(value), **_mapping(arguments, within)}
    if hasattr(value, "__name__"):
        held = _mapping(_held_by_function(value), within)
        return {"function": name_of(value), **held} if held else name_of(value)
    if type(value).__module__.split(".")[0] in _NOT_ENTERED:
        return class_name(value)
    # A class may compute the function of another one, under which older versions described it.
    described = getattr(value, "described_class", None) or class_name(value)
    settings = {**dict(_attributes(value)), **getattr(value, "described_settings", {})}
    return {"class": described, **_mapping(settings, within)}


def name_of(function: Any) -> str:
    """Returns the name of a function or class; of another object, that of its class."""
    return getattr(function, "__name__", type(function).__name__)


def _held_by_function(function: Any) -> dict[str, Any]:
    """Returns the object of a method, or the variables of a closure.

    A decorated function, as gin's are, is known by its name: its decorator's variables say nothing.
    """
    if isinstance(function, types.MethodType):
        return {"self": function.__self__}
    cells = getattr(function, "__closure__", None)
    if not cells or hasattr(function, "__wrapped__"):
        return {}
    names = function.__code__.co_freevars
    return {name: cell.cell_contents for name, cell in zip(names, cells) if _is_filled(cell)}


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # The variable has no value yet.
        return False


def _whole_numbers(data: Any) -> Any:
    """Returns plain data with whole floats as integers: gin accepts either for a float."""
    if isinstance(data, dict):
        return {key: _whole_numbers(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_whole_numbers(item) for item in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data
