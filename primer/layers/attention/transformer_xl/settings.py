"""The settings of Transformer-XL's positions: their values, checks and remarks.

Transformer-XL (https://arxiv.org/abs/1901.02860; https://github.com/kimiyoung/transformer-xl,
pytorch/mem_transformer.py). Values of the slot `positions` -> `attn_type` of the authors' code:

    transformer_xl           0   logits of a sinusoid of the distance (`relative_logits`)
    transformer_xl_learned   1   logits of a learned vector per distance
    transformer_xl_sinusoid  2   a sinusoid of the distance to the end of the row, added to the
                                 input of the first layer (`stream`)
    transformer_xl_absolute  3   a learned vector of that distance, added to the input of each
                                 attention layer
"""

from typing import Any

from mesh_tensorflow.transformer import transformer

from primer.common import checks, graph_marks

SINUSOID, LEARNED = "transformer_xl", "transformer_xl_learned"
STREAM_SINUSOID, STREAM_LEARNED = "transformer_xl_sinusoid", "transformer_xl_absolute"
# Those that add to the logits, and those that add to the residual stream.
OF_LOGITS = (SINUSOID, LEARNED)
OF_STREAM = (STREAM_SINUSOID, STREAM_LEARNED)

# Setting -> the positions that read it.
_READ_BY = {
    "untie_relative_biases": (SINUSOID,),
    "clamp_length": (SINUSOID, LEARNED, STREAM_SINUSOID),
    "num_distances": (LEARNED, STREAM_LEARNED),
}


def check(layer: Any) -> None:
    """Raises a ValueError for a setting that a layer does not support.

    Args:
        layer: a MultiHeadAttention.
    """
    name = "MultiHeadAttention"
    checks.boolean(f"{name}.untie_relative_biases", layer.untie_relative_biases, ValueError)
    for setting in ("clamp_length", "clamp_length_eval"):
        if getattr(layer, setting) is not None:
            expected = "the longest distance, a whole number of 1 or more, or None for no limit"
            checks.whole_number(
                f"{name}.{setting}", getattr(layer, setting), expected=expected, error=ValueError
            )
    if layer.positions in _READ_BY["num_distances"]:
        checks.whole_number(
            f"{name}.num_distances",
            layer.num_distances,
            expected=f"how many distances have a vector, a whole number of 1 or more, which "
            f"positions = {layer.positions!r} needs; set the slot num_distances",
            error=ValueError,
        )


def clamp_length(layer: Any, context: transformer.Context) -> int | None:
    """Returns the longest distance that a graph distinguishes, or None for no limit."""
    return layer.clamp_length if context.train else layer.clamp_length_eval


def say_without_effect(layer: Any) -> None:
    """Adds a remark to the graph for each setting that the layer's positions do not read.

    Args:
        layer: a MultiHeadAttention.
    """
    for setting, values in _READ_BY.items():
        if getattr(layer, setting) not in (None, False) and layer.positions not in values:
            names = " or ".join(repr(value) for value in values)
            graph_marks.add_remark(
                f"{setting} = {getattr(layer, setting)!r} has no effect: positions are not {names}"
            )
