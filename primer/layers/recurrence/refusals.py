"""What a memory cannot be combined with, checked before a graph is built."""

from collections.abc import Sequence
from typing import Any

from primer.common.class_names import class_name

# Positions that count from the beginning of a row: those of memory would be the same once more.
ABSOLUTE = ("learned", "sinusoid")


def check_layer(layer: Any) -> None:
    """Raises a ValueError for a setting of an attention layer that a memory excludes.

    Args:
        layer: a MultiHeadAttention.
    """
    recurrence = layer.recurrence
    if recurrence is None:
        return
    refused = {
        "kind": (layer.kind == "linear", "it sums all earlier keys: use 'global' or 'local'"),
        "positions": (
            layer.positions in ABSOLUTE,
            "they count from the beginning of a row, and memory is before it: use 'rotary', "
            "'alibi', 't5_bias_shared', 'transformer_xl' or 'none'",
        ),
        "num_value_embeddings": (
            layer.num_value_embeddings > 0,
            "memory has no token ids: set it to 0",
        ),
        "attention_func": (layer.attention_func is not None, "leave it out"),
        "spatial_gating": (
            getattr(layer, "spatial_gating", False),
            "its gates belong to positions of a row: set it to False",
        ),
    }
    for name, (is_refused, remedy) in refused.items():
        if is_refused:
            raise ValueError(
                f"memory_length = {recurrence.train.memory_length}: {class_name(layer)} has no "
                f"memory with {name} = {getattr(layer, name)!r}; {remedy}, or leave memory_length "
                "out"
            )
    if layer.kind == "local":
        for suffix, reach in (("", recurrence.train), ("_eval", recurrence.evaluate)):
            _check_window(layer, f"memory_length{suffix}", reach.memory_length)


def _check_window(layer: Any, setting: str, memory_length: int) -> None:
    if 0 < memory_length < layer.window - 1:
        raise ValueError(
            f"{setting} = {memory_length} is shorter than the window of a local layer, "
            f"{layer.window} keys: the first positions of a segment would see less. Set it to "
            f"{layer.window - 1} or more, or a smaller window"
        )


def check_stack(layers: Sequence[Any], token_shift: bool) -> None:
    """Raises a ValueError if a stack has layers with a memory, and other parts that lack one.

    Args:
        layers: the layers of the stack.
        token_shift: whether the stack begins with a `sublayer_token_shift`.
    """
    if not any(getattr(layer, "recurrence", None) for layer in layers):
        return
    others = [class_name(layer) for layer in layers if getattr(layer, "sees_row_only", False)]
    if token_shift:
        others.append("token_shift")
    if others:
        raise ValueError(
            f"memory_length is set, and {others[0]} sees earlier positions and has no memory of "
            "those before a row: leave it out, or memory_length"
        )
