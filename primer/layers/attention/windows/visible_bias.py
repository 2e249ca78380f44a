"""The bias of attention whose caller knows which keys a query sees, as that to blocks of keys."""

import copy
from typing import Any

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import attention, transformer


def bias(
    layer: Any,
    context: transformer.Context,
    heads_dims: list[mtf.Dimension],
    q: mtf.Tensor,
    position: mtf.Tensor,
    memory_position: mtf.Tensor,
    visible: mtf.Tensor,
) -> mtf.Tensor:
    """Returns the layer's relative bias for these positions, with this visibility mask.

    Args:
        layer: a MultiHeadAttention.
        context: a transformer.Context.
        heads_dims: the Dimensions of the queries' heads.
        q: the queries, with the dimensions of `position`.
        position: the positions of the queries, int32.
        memory_position: the positions of the keys, int32.
        visible: a boolean Tensor with the dimensions of queries and keys.
    """
    context = copy.copy(context)
    context.position = position
    # Without these, compute_bias adds no mask of its own.
    context.read_priority = context.sequence_id = context.subsequence_id = None
    relative = layer.compute_bias(context, memory_position, None, heads_dims, q)
    hidden = hidden_bias(visible, context)
    return hidden if relative is None else mtf.cast(hidden, relative.dtype) + relative


def hidden_bias(visible: mtf.Tensor, context: transformer.Context) -> mtf.Tensor:
    """Returns 0 where `visible` is true and a large negative number elsewhere."""
    return attention.visibility_mask_to_attention_bias(visible, context.activation_dtype)
