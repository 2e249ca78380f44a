"""A learned gate for every position that attention reads, applied after its softmax.

Primer (https://arxiv.org/abs/2109.08668), appendix, "post-softmax spatial gating": every position
has a scalar of its own, which the paper recommends for texts of a fixed length only. With attention
weights a[t, s] and one gate g[s] per head,

    y[t] = sum over s of  a[t, s] * g[s] * v[s],

so that the values can be multiplied by the gates once, `[batch, length, heads, d_kv]` in and out,
and the key-value cache of decoding holds gated values. The gates start at 1.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers import positions, variables


def gate_values(
    context: transformer.Context,
    values: mtf.Tensor,
    heads_dims: list[mtf.Dimension],
    max_length: int,
) -> mtf.Tensor:
    """Multiplies values by the gates of their positions.

    Args:
        context: a transformer.Context.
        values: a Tensor `[batch, length, heads, d_kv]`, without length in incremental mode.
        heads_dims: the Dimensions of the values' heads.
        max_length: the number of positions that have a gate.

    Returns:
        A Tensor with the dimensions of `values`.

    Raises:
        ValueError: the text is longer than max_length.
    """
    if context.length_dim.size > max_length:
        raise ValueError(
            f"MDHA.max_length = {max_length} gates for a text of {context.length_dim.size} "
            "positions; set the macro max_length to the longest text, or "
            "MDHA.spatial_gating = False"
        )
    gated_length = mtf.Dimension("gated_length", max_length)
    gates = variables.get_variable(
        context, "spatial_gate", heads_dims + [gated_length], tf.ones_initializer()
    )  # [heads, gated_length]
    return values * _at_positions(context, gates, gated_length)  # [batch, length, heads, d_kv]


def _at_positions(
    context: transformer.Context, gates: mtf.Tensor, gated_length: mtf.Dimension
) -> mtf.Tensor:
    """Returns the gates of the positions of the call."""
    incremental = context.mode == "incremental"
    position = context.position if incremental else positions.in_segment(context)
    if position is None:
        gates = mtf.slice(gates, 0, context.length_dim.size, gated_length.name)
        # [heads, length]
        return mtf.rename_dimension(gates, gated_length.name, context.length_dim.name)
    return mtf.gather(gates, position, gated_length)  # [batch, length, heads]
