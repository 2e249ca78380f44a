"""A learned gate for every position that attention reads, behind its softmax.

Primer (https://arxiv.org/abs/2109.08668), appendix, "post-softmax spatial gating": after the
softmax of the attention, every position has a scalar of its own, which the paper names as an
improvement for texts of a fixed length only. With weights a[t, s] and one gate g[s] per head,

    y[t] = sum over s of  a[t, s] * g[s] * v[s],

so that the gates can be multiplied into the values once, `[..., length, heads, d_kv]` in and out,
and decoding remembers gated values. The gates start at 1.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers import positions


def gated_values(context, values, heads_dims, max_length):
    """Multiplies values by the gates of their positions.

    Args:
        context: a transformer.Context.
        values: a Tensor `[..., length, heads, d_kv]`, without length in incremental mode.
        heads_dims: the Dimensions of the values' heads.
        max_length: the number of positions that have a gate.

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
    gates = mtf.get_variable(
        context.mesh,
        "spatial_gate",
        mtf.Shape(context.model.ensemble_dims + heads_dims + [gated_length]),
        initializer=tf.ones_initializer(),
        dtype=context.variable_dtype,
    )
    return values * _at_positions(context, gates, gated_length)


def _at_positions(context, gates, dim):
    at = context.position if context.mode == "incremental" else positions.in_part(context)
    if at is None:
        gates = mtf.slice(gates, 0, context.length_dim.size, dim.name)
        return mtf.rename_dimension(gates, dim.name, context.length_dim.name)
    return mtf.gather(gates, at, dim)
