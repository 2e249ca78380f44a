"""Softmax attention to all positions so far: the kind "global" of MultiHeadAttention."""

from typing import Any

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import attention, transformer

from primer.layers.attention import kv_cache, softmax_attention


def attend(
    layer: Any,
    context: transformer.Context,
    params: attention.AttentionParams,
    q: mtf.Tensor,
    keys_values: list[mtf.Tensor],
) -> mtf.Tensor:
    """Attends to the positions of the call, or in incremental mode to those of the cache.

    Args:
        layer: a MultiHeadAttention.
        context: a transformer.Context.
        params: the layer's projections.
        q: queries `[batch, length, heads, d_kv]`, without length in incremental mode.
        keys_values: keys and values, or what is both, with the memory heads.

    Returns:
        A Tensor `[batch, length, heads, d_kv]`.
    """
    # [batch, memory_length, heads, d_kv] each, and [memory_length]
    keys_values, position = kv_cache.update(layer, context, keys_values)
    bias = layer.compute_bias(context, position, None, params.query_heads_dims, q)
    memory_length = layer.memory_length(context)
    return softmax_attention.attend(layer, context, params, q, keys_values, memory_length, bias)
