"""A description of a model that shapes cannot give: which classes, in which order, how set."""

import hashlib

import mesh_tensorflow as mtf

from primer.common.class_names import class_name

SIMPLE = (bool, int, float, str, type(None))
# Settings that change speed or memory and not the function; nor do rates of dropout.
IRRELEVANT = ("recompute_grads", "name", "layout", "mesh_shape")


def describe_estimator(estimator) -> dict:
    """The wiring and the vocabulary of the model that a LocalEstimator runs."""
    return describe(estimator.model, estimator.settings.get("vocabulary"))


def describe(model, vocabulary) -> dict:
    """The wiring of a model and what tells its vocabulary from another."""
    return {"wiring": describe_model(model), "vocabulary": describe_vocabulary(vocabulary)}


def describe_model(model) -> dict:
    """The wiring of a Mesh-TF Unitransformer as plain data."""
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
    """Class and plain settings of a layer; dimensions count as their sizes."""
    settings = {}
    for key, value in sorted(vars(layer).items()):
        if key in IRRELEVANT or "dropout" in key:
            continue
        if isinstance(value, mtf.Dimension):
            value = value.size
        if isinstance(value, (list, tuple)):
            value = [_name(item) if callable(item) else item for item in value]
            if all(isinstance(item, SIMPLE) for item in value):
                settings[key.lstrip("_")] = value
        elif isinstance(value, SIMPLE):
            settings[key.lstrip("_")] = value
    return {"class": class_name(layer), **settings}


def _name(function):
    return getattr(function, "__name__", type(function).__name__)


def describe_vocabulary(vocabulary) -> dict:
    """Class, size and a fingerprint of a vocabulary (of the pair's second, where it is a pair)."""
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


def first_difference(before, now):
    """Where two descriptions differ first, as "path: before -> now", or None.

    What only the later one has is a setting that the version which wrote the earlier did not know.
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
