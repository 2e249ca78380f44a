"""Softmax attention to the last positions: the kind "local" of MultiHeadAttention.

Sparse Transformer (https://arxiv.org/abs/1904.10509) and Longformer
(https://arxiv.org/abs/2004.05150); the local layers of GPT-Neo and Gemma 2. With a window of r
keys, position p gets

    o_p = sum over p - r < t <= p of  softmax_t(q_p k_t + bias(p - t)) v_t.

Long texts are cut into blocks (`windowed_blocks`) and cost length x window; short ones are masked,
with the same result. Decoding keeps the last r positions (`windowed_cache`), however long the text
is.
"""

from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention, transformer

from primer.common import graph_marks
from primer.common.class_names import class_name
from primer.layers import mesh_layout, positions
from primer.layers.attention import inherited_settings, softmax_attention
from primer.layers.attention.windows import visible_bias, windowed_blocks, windowed_cache


def attend(
    layer: Any,
    context: transformer.Context,
    params: attention.AttentionParams,
    q: mtf.Tensor,
    keys_values: list[mtf.Tensor],
) -> mtf.Tensor:
    """Attends to the positions in the window; in incremental mode to those of the cache.

    Args:
        layer: a MultiHeadAttention.
        context: a transformer.Context.
        params: the layer's projections.
        q: queries `[batch, length, heads, d_kv]`, without length in incremental mode.
        keys_values: keys and values, or what is both, with the memory heads.

    Returns:
        A Tensor `[batch, length, heads, d_kv]`.

    Raises:
        ValueError: the model is not fully autoregressive.
    """
    inherited_settings.check_autoregressive(layer, context, "local")
    _say_if_without_effect(layer, context)
    if context.mode == "incremental":
        return _attend_to_cache(layer, context, params, q, keys_values)
    if context.mode == "first_part":
        _cache_prompt(layer, context, keys_values)
    length, block_length = context.length_dim.size, _block_length(layer, context)
    if block_length < length:
        blocks = windowed_blocks.Blocks(context.length_dim, block_length, layer.window)
        return _attend_in_blocks(layer, context, params, q, keys_values, blocks)
    return _attend_masked(layer, context, params, q, keys_values)


def _attend_masked(layer, context, params, q, keys_values):
    # [batch, memory_length, heads, d_kv]
    keys_values = [layer.rename_length_to_memory_length(t, context) for t in keys_values]
    position = layer.rename_length_to_memory_length(context.position, context)
    bias = layer.compute_bias(context, position, None, params.query_heads_dims, q)
    if layer.window < context.length_dim.size:
        index = mtf.range(context.mesh, context.length_dim, tf.int32)  # [length]
        # [length, memory_length]
        distance = index - layer.rename_length_to_memory_length(index, context)
        hidden = visible_bias.hidden_bias(mtf.less(distance, layer.window), context)
        bias += mtf.cast(hidden, bias.dtype)
    memory_length = layer.memory_length(context)
    return softmax_attention.attend(layer, context, params, q, keys_values, memory_length, bias)


def _attend_in_blocks(layer, context, params, q, keys_values, blocks):
    # [batch, blocks, query_block_length, heads, d_kv]
    q = blocks.split_queries(q)
    # [batch, blocks, memory_block_length, heads, d_kv]
    keys_values = [blocks.split_memory(t) for t in keys_values]
    # [query_block_length, memory_block_length, blocks], with batch if packed
    visible = blocks.visible(context.mesh, positions.segment_id(context))
    query_position, memory_position = blocks.positions(context.mesh)
    bias = visible_bias.bias(
        layer, context, params.query_heads_dims, q, query_position, memory_position, visible
    )
    # [batch, blocks, query_block_length, heads, d_kv]
    o = softmax_attention.attend(
        layer, context, params, q, keys_values, blocks.memory_dim, bias, blocks
    )
    return blocks.join(o)  # [batch, length, heads, d_kv]


def _attend_to_cache(layer, context, params, q, keys_values):
    """Attends from one position to itself and the earlier ones in the window."""
    window = windowed_cache.window_dim(layer.window, context.length_dim)
    caches = context.get_states(len(keys_values))  # [batch, heads, window, d_kv] each
    keys_values = [
        windowed_cache.cache_position(cache, t, window, context)
        for cache, t in zip(caches, keys_values, strict=True)
    ]
    context.record_new_states(keys_values)
    # [batch, window]
    memory_position = windowed_cache.cached_positions(context.mesh, context.position, window)
    visible = mtf.greater_equal(memory_position, 0)
    bias = visible_bias.bias(
        layer, context, params.query_heads_dims, q, context.position, memory_position, visible
    )
    return softmax_attention.attend(layer, context, params, q, keys_values, window, bias)


def _cache_prompt(layer, context, keys_values):
    # The texts that follow may be longer than the prompts.
    length = getattr(context, "states_length", context.length_dim)
    window = windowed_cache.window_dim(layer.window, length)
    end = context.initial_position  # [batch]
    # [batch, heads, window, d_kv] each
    context.record_new_states(
        [windowed_cache.cache_prompt(t, context.length_dim, end, window) for t in keys_values]
    )


def _block_length(layer, context):
    """Returns the positions per block, checked against the mesh."""
    length = context.length_dim.size
    splits = mesh_layout.num_splits(context.model, context.length_dim)
    if layer.block_length is None:
        return windowed_blocks.automatic_block_length(length, layer.window, splits)
    share = length // splits
    if splits > 1 and layer.block_length < length and share % layer.block_length:
        raise ValueError(
            f"{class_name(layer)}.block_length = {layer.block_length}: the length {length} is "
            f"split over {splits} processors of the mesh, and blocks must divide a share of "
            f"{share}; choose a divisor, or leave it None"
        )
    return layer.block_length


def _say_if_without_effect(layer, context):
    length = context.length_dim.size
    if context.train and layer.window >= length:
        graph_marks.add_remark(
            f"window = {layer.window}: rows have {length} tokens, so that local attention sees all "
            "of them, as global attention does; set window below the length for an effect"
        )
