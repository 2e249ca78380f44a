"""Describes a model beyond the shapes of its variables: its classes, their order and settings."""

import hashlib
from typing import Any

import mesh_tensorflow as mtf

from primer.common.class_names import class_name

_PLAIN_TYPES = (bool, int, float, str, type(None))
# Settings that change speed or memory and not the function; rates of dropout do not either.
_NOT_WIRING = ("recompute_grads", "name", "layout", "mesh_shape")


def describe_estimator(estimator: Any) -> dict[str, Any]:
    """Returns the wiring and the vocabulary of the model that a LocalEstimator runs."""
    return describe(estimator.model, estimator.settings.get("vocabulary"))


def describe(model: Any, vocabulary: Any) -> dict[str, Any]:
    """Returns the wiring of a model, and the size and fingerprint of its vocabulary."""
    return {"wiring": describe_model(model), "vocabulary": describe_vocabulary(vocabulary)}


def describe_model(model: Any) -> dict[str, Any]:
    """Returns the wiring of a Mesh-TF Unitransformer as plain data."""
    stack = getattr(model, "layer_stack", None)
    if stack is None:
        return {"model": type(model).__name__}
    return {
        "model": type(model).__name__,
        "d_model": model.model_dim.size,
        "output_vocabulary": model.output_vocab_dim.size,
        "layer_stack": type(stack).__name__,
        "sublayers_initial": [_name(f) for f in stack._sublayers_initial],
        "sublayers_per_layer": [_name(f) for f in stack._sublayers_per_layer],
        "sublayers_final": [_name(f) for f in stack._sublayers_final],
        "layers": [_layer(layer) for layer in stack._layers],
    }


def _layer(layer):
    """Returns the class and the plain settings of a layer, with the sizes of dimensions."""
    settings = {}
    for key, value in sorted(vars(layer).items()):
        if key in _NOT_WIRING or "dropout" in key:
            continue
        if isinstance(value, mtf.Dimension):
            value = value.size
        if isinstance(value, (list, tuple)):
            value = [_name(item) if callable(item) else item for item in value]
            if all(isinstance(item, _PLAIN_TYPES) for item in value):
                settings[key.lstrip("_")] = value
        elif isinstance(value, _PLAIN_TYPES):
            settings[key.lstrip("_")] = value
    return {"class": class_name(layer), **settings}


def _name(function):
    return getattr(function, "__name__", type(function).__name__)


def describe_vocabulary(vocabulary: Any) -> dict[str, Any]:
    """Returns the size and a fingerprint of a seqio vocabulary; of a pair, of the second."""
    if isinstance(vocabulary, (tuple, list)):
        vocabulary = vocabulary[-1]
    if vocabulary is None:
        return {}
    if hasattr(vocabulary, "identity"):
        return {"size": vocabulary.vocab_size, "fingerprint": str(vocabulary.identity())}
    sample = "The quick brown fox jumps over 13 lazy dogs: \u00e9\u00fc\u4e2d?"
    ids = ",".join(str(token) for token in vocabulary.encode(sample))
    return {
        "size": vocabulary.vocab_size,
        "fingerprint": hashlib.sha256(ids.encode()).hexdigest()[:16],
    }


def first_difference(before: Any, now: Any) -> str | None:
    """Returns the first difference of two descriptions, as "path before -> now", or None.

    Keys that only the later one has do not count: they are settings of a newer version.
    """
    if type(before) is not type(now) or not isinstance(now, (dict, list)):
        return None if before == now else f"{before!r} -> {now!r}"
    if isinstance(now, list):
        if len(before) != len(now):
            return f"{len(before)} -> {len(now)} entries"
        before, now = dict(enumerate(before)), dict(enumerate(now))
    for key in [key for key in now if key in before]:
        inner = first_difference(before[key], now[key])
        if inner:
            return f"{key} {inner}" if isinstance(key, str) else f"[{key}] {inner}"
    return None
