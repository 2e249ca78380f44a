"""The key-value cache of attention: the keys and values of all positions, kept for decoding.

    prompt      cache[0 .. length] = projections of all positions
    step t      cache[t] = projection of position t     (`cached_position`)

`[batch, length, heads, d_kv] -> [batch, heads, memory_length, d_kv]`.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention, transformer, transformer_layers

from primer.layers.attention import cached_position


def project_keys_values(params: attention.AttentionParams, x: mtf.Tensor) -> list[mtf.Tensor]:
    """Returns [keys, values] of x, or [keys that are also values] if the parameters share them.

    Args:
        params: the layer's parameters.
        x: a Tensor `[batch, length, d_model]`, without length in incremental mode.
    """
    if params.shared_kv:
        return [params.compute_kv(x)]  # [batch, length, heads, d_kv]
    return [params.compute_k(x), params.compute_v(x)]  # [batch, length, heads, d_kv]


def update(
    layer: transformer_layers.SelfAttention,
    context: transformer.Context,
    keys_values: list[mtf.Tensor],
) -> tuple[list[mtf.Tensor], mtf.Tensor]:
    """Adds the keys and values of a call to the cache; in decoding, the context's states hold it.

    Args:
        layer: a SelfAttention.
        context: a transformer.Context.
        keys_values: Tensors `[batch, length, heads, d_kv]`, without length in incremental mode.

    Returns:
        The keys and values of all positions up to this call, `[batch, memory_length, heads, d_kv]`
        or in incremental mode `[batch, heads, memory_length, d_kv]`; and the position of each,
        int32 `[memory_length]`, with batch where rows differ.
    """
    memory_length = layer.memory_length(context)
    if context.mode == "incremental":
        cached = context.get_states(len(keys_values))  # [batch, heads, memory_length, d_kv]
        keys_values = [
            cached_position.write(old, new, context.position, memory_length, context)
            for old, new in zip(cached, keys_values, strict=True)
        ]
        context.record_new_states(keys_values)
        position = mtf.range(context.mesh, memory_length, tf.int32)  # [memory_length]
    else:
        # [batch, memory_length, heads, d_kv]
        keys_values = [layer.rename_length_to_memory_length(t, context) for t in keys_values]
        position = layer.rename_length_to_memory_length(context.position, context)
    if context.mode == "first_part":
        context.record_new_states([cached_position.ordered(t, memory_length) for t in keys_values])
    return keys_values, position
