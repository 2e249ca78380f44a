"""Describes a model beyond the shapes of its variables: its classes, their order and settings.

A description has three parts: the *wiring*, what the model's objects hold; the *configuration*, the
parameters of the functions that its forward pass calls
(`primer.runtime.model_function`); and the vocabulary.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from primer.checkpoints.description import plain_settings

# Described by the vocabulary, or by a key of the wiring's own.
_MODEL_KEYS = {
    "layer_stack",
    "model_dim",
    "input_vocab_dim",
    "output_vocab_dim",
    "input_vocab_size_unpadded",
    "output_vocab_size_unpadded",
}
_SUBLAYERS = ("sublayers_initial", "sublayers_per_layer", "sublayers_final")


class Difference(NamedTuple):
    """A difference of two descriptions.

    Attributes:
        path: the keys and indices of its place.
        change: "before -> now".
    """

    path: tuple[str | int, ...]
    change: str

    def __str__(self) -> str:
        keys = (key if isinstance(key, str) else f"[{key}]" for key in self.path)
        return " ".join([*keys, self.change])

    def keys(self) -> tuple[str, ...]:
        """Returns the path without indices: equal for the same setting of two layers."""
        return tuple(key for key in self.path if isinstance(key, str))


def describe(model: Any, vocabulary: Any, configuration: dict[str, Any]) -> dict[str, Any]:
    """Returns the description of a model, plain data that `primer.json` can store.

    Args:
        model: a Mesh-TF model.
        vocabulary: a seqio vocabulary, or a pair.
        configuration: the parameters of the functions that its forward pass calls.
    """
    return {
        "wiring": describe_model(model),
        "configuration": configuration,
        "vocabulary": describe_vocabulary(vocabulary),
    }


def describe_model(model: Any) -> dict[str, Any]:
    """Returns the wiring of a Mesh-TF model as plain data."""
    stack = getattr(model, "layer_stack", None)
    wiring: dict[str, Any] = {"model": type(model).__name__}
    if stack is not None:
        wiring |= {
            "d_model": model.model_dim.size,
            "output_vocabulary": model.output_vocab_dim.size,
            "layer_stack": type(stack).__name__,
            **{key: plain_settings.plain(getattr(stack, f"_{key}")) for key in _SUBLAYERS},
            "layers": [plain_settings.plain(layer) for layer in stack._layers],
            "stack": plain_settings.held_by(stack, ("layers", *_SUBLAYERS)),
        }
    settings = plain_settings.held_by(model, _MODEL_KEYS)
    return wiring | ({"settings": settings} if settings else {})


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
    described = {
        "size": vocabulary.vocab_size,
        "fingerprint": hashlib.sha256(ids.encode()).hexdigest()[:16],
    }
    # Two vocabularies may give one sample the same ids and other texts different ones.
    pieces = getattr(vocabulary, "sp_model", None)
    if isinstance(pieces, bytes):
        described["pieces"] = hashlib.sha256(pieces).hexdigest()[:16]
    return described


def first_difference(before: Any, now: Any) -> str | None:
    """Returns the first of `differences` as "path before -> now", or None."""
    return next(map(str, differences(before, now)), None)


def differences(before: Any, now: Any, path: tuple[str | int, ...] = ()) -> Iterator[Difference]:
    """Yields the differences of two descriptions.

    Keys that only one of them has do not count: another version may record other settings.

    Args:
        before, now: plain data.
        path: their own place, for the places of the differences.
    """
    if isinstance(before, str) and isinstance(now, dict) and "function" in now:
        before = {"function": before}  # Older versions recorded a function's name alone.
    if type(before) is not type(now) or not isinstance(now, (dict, list)):
        if before != now:
            yield Difference(path, f"{before!r} -> {now!r}")
        return
    if isinstance(now, list):
        if len(before) != len(now):
            yield Difference(path, f"{len(before)} -> {len(now)} entries")
            return
        before, now = dict(enumerate(before)), dict(enumerate(now))
    for key in [key for key in now if key in before]:
        yield from differences(before[key], now[key], (*path, key))
