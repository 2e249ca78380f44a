"""Attention to a segment of the row and a memory before it, for layers with `recurrence`.

Transformer-XL (https://arxiv.org/abs/1901.02860), section 3.2. With the stream h of a layer and SG
for a stopped gradient,

    h~ = [SG(h of the M positions before the segment); h of the segment]
    q = h Wq,  k = h~ Wk,  v = h~ Wv,      then the softmax attention of the layer.

Keys and values of memory are computed with the weights of today, which get their gradient. In
training with several segments per row they are projected from the row's stopped stream; without
gradients they are those of the row itself. Decoding keeps the keys that a query may see in a ring
(`windowed_cache`), so that a token costs the same at any position.
"""

import copy
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention, transformer

from primer.common import graph_marks
from primer.common.class_names import class_name
from primer.layers import mesh_layout
from primer.layers.attention import softmax_attention
from primer.layers.attention.transformer_xl import settings as transformer_xl
from primer.layers.attention.windows import visible_bias, windowed_blocks, windowed_cache
from primer.layers.recurrence import past as pasts
from primer.layers.recurrence.convolution_past import ConvolutionPast
from primer.layers.recurrence.row_segments import RowSegments, last_of


def attend(
    layer: Any, context: transformer.Context, params: attention.AttentionParams, x: mtf.Tensor
) -> mtf.Tensor:
    """Attends, in any mode of the context.

    Args:
        layer: a MultiHeadAttention with a recurrence.
        context: a transformer.Context; `past` is what the stack has of the positions before.
        params: the layer's projections.
        x: the layer's input `[batch, length, d_model]`, without length in incremental mode.

    Returns:
        A Tensor `[batch, length, heads, d_kv]`.
    """
    if context.mode in ("first_part", "incremental"):
        return _decode(layer, context, params, x)
    _check_length_is_whole(layer, context)
    past = _past(layer, context)
    segments = _segments(layer, context, past)
    _say_without_effect(layer, context, past, segments)
    _check_one_segment(layer, segments)
    ids = pasts.segment_ids(context)
    before, rows = _projections(layer, context, params, x, past, segments, ids)
    q, own, of_memory = rows
    memory_id = segments.join_memory(
        ids, ids if segments.blocks_dim.size > 1 else None, _last(past.before_ids, segments)
    )
    visible = segments.visible_from(context.mesh, ids, memory_id, layer.recurrence.zero_memory)
    keys_values = [
        segments.join_memory(t, of_row, _last(of_before, segments))
        for t, of_row, of_before in zip(own, of_memory, before, strict=True)
    ]  # [batch, blocks, memory_block_length, heads, d_kv] each
    q = segments.split_queries(q)  # [batch, blocks, query_block_length, heads, d_kv]
    position, memory_position = segments.positions(context.mesh)
    heads_dims = params.query_heads_dims
    bias = visible_bias.bias(layer, context, heads_dims, q, position, memory_position, visible)
    o = softmax_attention.attend(
        layer, context, params, q, keys_values, segments.memory_dim, bias, segments
    )  # [batch, blocks, query_block_length, heads, d_kv]
    return segments.join(o)


def _past(layer, context):
    """Returns what the stack has given the layer; for prompts there is nothing before."""
    past = getattr(context, "past", None)
    if past is None and context.train:
        raise ValueError(
            f"{class_name(layer)} with memory_length: the layer stack gives it no memory; set "
            "layer_stack to @PreNormLayerStack or another stack of this library"
        )
    return past or pasts.Past()


def _segments(layer, context, past):
    """Returns how the row is cut, with the memory that there is."""
    reach = layer.recurrence.reach(context.train)
    length = context.length_dim.size
    block_length = min(reach.segment_length or length, length)
    radius = _window(layer, reach, block_length)
    if reach.same_length and not context.train:
        # Where every query sees as many keys, segments differ in their gradients only.
        block_length = windowed_blocks.automatic_block_length(length, radius)
    memory_length = reach.memory_length
    if past.before is None:
        memory_length = min(memory_length, (-(-length // block_length) - 1) * block_length)
    return RowSegments(context.length_dim, block_length, radius, memory_length)


def _window(layer, reach, segment_length):
    """Returns how many keys a query sees at most, its own position's included."""
    seen = reach.memory_length + (0 if reach.same_length else segment_length)
    return min(seen, layer.window) if layer.kind == "local" else seen


def _projections(layer, context, params, x, past, segments, ids):
    """Projects the positions before the row, and the row.

    Returns:
        Keys and values before the row; and the row's queries, its keys and values, and those that
        memory has of it. What there is none of is None.
    """
    earlier, before = None, None
    if past.before is not None:
        run = _run_before(context, past)
        earlier = run.convolution_past
        _, before = _project(layer, run, params, past.before)
    several = segments.blocks_dim.size > 1
    if several and past.row is not None:
        run = _run(context, ConvolutionPast(ids, earlier))
        run.is_memory = True
        _, of_memory = _project(layer, run, params, past.row)
        run = _run(context, ConvolutionPast(ids, run.convolution_past, segments))
        q, own = _project(layer, run, params, x)
    else:
        q, own = _project(layer, _run(context, ConvolutionPast(ids, earlier)), params, x)
        of_memory = own if several else None
    nothing = [None] * len(own)
    return before or nothing, (q, own, of_memory or nothing)


def _project(layer, context, params, x):
    q, keys_values = layer.project(context, params, x)
    return layer.transform_heads(context, q, keys_values)


def _run(context, convolution_past):
    """Returns the context of one run of the projections over the row."""
    context = copy.copy(context)
    context.convolution_past = convolution_past
    return context


def _run_before(context, past):
    """Returns the context of the run over what is before the row, at negative positions."""
    context = _run(context, ConvolutionPast(past.before_ids))
    context.is_memory = True
    context.length_dim = past.before.shape.get_dim_by_name(context.length_dim.name)
    index = mtf.range(context.mesh, context.length_dim, tf.int32)
    context.position = index - context.length_dim.size
    context.sequence_id, context.subsequence_id = past.before_ids, None
    return context


def _last(x, segments):
    """Returns the M positions before the row of all that are kept; None if there is no memory."""
    if x is None or not segments.halo:
        return None
    return last_of(x, segments.halo, segments.length_dim.name)


def _decode(layer, context, params, x):
    """Reads prompts into the ring of keys, or attends from one position to the ring."""
    q, keys_values = _project(layer, context, params, x)
    reach = layer.recurrence.reach(train=False)
    segment_length = reach.segment_length or context.length_dim.size
    ring = mtf.Dimension("window", _window(layer, reach, segment_length))
    if context.mode == "first_part":
        context.record_new_states(
            [
                windowed_cache.cache_prompt(t, context.length_dim, context.initial_position, ring)
                for t in keys_values
            ]
        )
        without_states = copy.copy(context)
        without_states.mode = tf.estimator.ModeKeys.EVAL
        return attend(layer, without_states, params, x)
    caches = context.get_states(len(keys_values))  # [batch, heads, window, d_kv] each
    keys_values = [
        windowed_cache.cache_position(cache, t, ring, context)
        for cache, t in zip(caches, keys_values, strict=True)
    ]
    context.record_new_states(keys_values)
    position = context.position  # [batch]
    # [batch, window]
    memory_position = windowed_cache.cached_positions(context.mesh, position, ring)
    begin = position - mtf.mod(position, segment_length) - reach.memory_length
    visible = mtf.greater_equal(memory_position, begin)
    if not layer.recurrence.zero_memory:
        visible = mtf.logical_and(visible, mtf.greater_equal(memory_position, 0))
    heads_dims = params.query_heads_dims
    bias = visible_bias.bias(layer, context, heads_dims, q, position, memory_position, visible)
    return softmax_attention.attend(layer, context, params, q, keys_values, ring, bias)


def _say_without_effect(layer, context, past, segments):
    """Adds remarks on settings that do nothing in training."""
    if not context.train:
        return
    reach, length = layer.recurrence.train, context.length_dim.size
    if past.before is None and segments.blocks_dim.size == 1:
        graph_marks.add_remark(
            f"memory_length = {reach.memory_length} has no effect in training: a row of {length} "
            "tokens is one segment, and rows begin with empty memory; set carry_memory = True "
            "with objectives/lm_stream.gin, or segment_length below the length of a row"
        )
    elif reach.segment_length is not None and reach.segment_length >= length:
        graph_marks.add_remark(
            f"segment_length = {reach.segment_length} has no effect: rows have {length} tokens"
        )


def _check_one_segment(layer, segments):
    if layer.positions in transformer_xl.OF_STREAM and segments.blocks_dim.size > 1:
        raise ValueError(
            f"segment_length = {segments.block_length} and positions = {layer.positions!r}, which "
            "count from the end of a row: leave segment_length out, or use other positions"
        )


def _check_length_is_whole(layer, context):
    splits = mesh_layout.num_splits(context.model, context.length_dim)
    if splits > 1:
        raise ValueError(
            f"{class_name(layer)} with memory_length: the layout splits the length over {splits} "
            "processors of the mesh, and memory needs whole rows; split the batch or the heads"
        )
