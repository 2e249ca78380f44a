"""The stream of hidden states before a row, and before each segment of it, for a stack's layers.

Transformer-XL (https://arxiv.org/abs/1901.02860), equation 7: the memory of a layer is the input of
the layer for earlier segments, without a gradient. A stack that normalizes before a layer
normalizes the memory too, with the weights of today; so memory keeps the stream before the norm.
The state of a row (`carried_state`) has, for each layer with memory, the last positions of the
stream, `[batch, memory_positions, d_model]`, and for all layers their texts,
`[batch, memory_positions]`.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common.recurrence import carried_state
from primer.layers import positions
from primer.layers.attention.transformer_xl import stream
from primer.layers.recurrence import settings
from primer.layers.recurrence.row_segments import last_of, number_of_tokens


@dataclasses.dataclass(frozen=True)
class Past:
    """What a layer with memory gets besides its input.

    Attributes:
        before: the layer's input at the positions before the row, `[batch, length, d_model]` with
            as many positions as the layer keeps; None: a row is the beginning of a text.
        before_ids: the texts of these positions, int32 `[batch, length]`, 0 for none; or None.
        row: the layer's input for the row without a gradient, `[batch, length, d_model]`; None
            where there are no gradients.
    """

    before: mtf.Tensor | None = None
    before_ids: mtf.Tensor | None = None
    row: mtf.Tensor | None = None


def positions_kept(layer: Any, train: bool) -> int:
    """Returns how many positions before a row a layer needs; 0 without memory.

    A convolution needs those before the oldest position of memory.
    """
    recurrence = getattr(layer, "recurrence", None)
    if recurrence is None or not recurrence.reach(train).memory_length:
        return 0
    return recurrence.reach(train).memory_length + layer.convolution_reach


def parts(
    layers: Iterable[Any], model_dim: mtf.Dimension, dtype: tf.DType, train: bool
) -> dict[str, tuple[carried_state.Dims, tf.DType]]:
    """Returns the parts of the state that the layers of a stack carry from row to row.

    Args:
        layers: the layers of the stack.
        model_dim: the Dimension of the stream.
        dtype: the type of activations.
        train: whether training carries them, which it does where the layers say so.
    """
    kept = {
        _name(index): positions_kept(layer, train)
        for index, layer in enumerate(layers)
        if positions_kept(layer, train) and (not train or layer.recurrence.carry_in_training)
    }
    if not kept:
        return {}
    found = {
        name: ((settings.memory_positions_dim(number), model_dim), dtype)
        for name, number in kept.items()
    }
    longest = settings.memory_positions_dim(max(kept.values()))
    return {**found, carried_state.TEXTS: ((longest,), tf.int32)}


def of_layer(
    layer: Any,
    context: transformer.Context,
    x: mtf.Tensor,
    before_call: Callable[[mtf.Tensor], mtf.Tensor],
) -> Past | None:
    """Returns the past of a layer with memory in training and evaluation, else None.

    Args:
        layer: a layer of the stack; `context.layer_index` is its number.
        context: a transformer.Context.
        x: the stream before the layer, `[batch, length, d_model]`.
        before_call: what the stack does to the stream before it calls the layer.
    """
    kept = positions_kept(layer, context.train)
    if not kept or context.mode in ("first_part", "incremental"):
        return None
    row = before_call(mtf.stop_gradient(x)) if context.train else None
    before = before_ids = None
    state = carried_state.current()
    if state is not None and state.has(_name(context.layer_index)):
        before = _as_length(context, state.value(_name(context.layer_index)))
        before_ids = last_of(
            _as_length(context, state.value(carried_state.TEXTS)), kept, context.length_dim.name
        )
    elif layer.recurrence.zero_memory:
        shape = _with_length(context, x.shape, kept)
        before = mtf.zeros(x.mesh, shape, x.dtype)
        before_ids = mtf.zeros(x.mesh, shape - context.model.model_dim, tf.int32)
    if before is not None:
        kept_dim = before.shape.get_dim_by_name(context.length_dim.name)
        before = stream.add_to_memory(
            layer, context, before, kept_dim, context.length_dim.size, context.layer_index == 0
        )
        # It depends on no weight. A stopped gradient would be an error where gradients are
        # recomputed, which asks for those of all inputs.
        before = before_call(before)
    return Past(before, before_ids, row)


def keep(layers: Iterable[Any], context: transformer.Context) -> None:
    """Records the state after a row, once the stack has run, where a state is carried.

    Args:
        layers: the layers of the stack.
        context: the context after the call: `layer_outputs` has the stream before each layer.
    """
    state = carried_state.current()
    if state is None or context.mode in ("first_part", "incremental"):
        return
    ids = segment_ids(context)
    end = number_of_tokens(ids, context.length_dim)  # [batch]
    if state.recomputed:
        end = mtf.maximum(end - state.recomputed, 0)
    for index, layer in enumerate(layers):
        name = _name(index)
        if state.has(name):
            with tf.variable_scope(layer.name or ""):
                x = stream.add_to_stream(layer, context, context.layer_outputs[index])
            state.record(name, _newest(state.value(name), x, context.length_dim, end))
    if state.has(carried_state.TEXTS):
        state.record(
            carried_state.TEXTS,
            _newest(state.value(carried_state.TEXTS), ids, context.length_dim, end),
        )


def segment_ids(context: transformer.Context) -> mtf.Tensor:
    """Returns the text of each position, int32 `[batch, length]`; 0 for padding."""
    ids = positions.segment_id(context)
    if ids is not None:
        return ids
    return mtf.ones(context.mesh, mtf.Shape([*context.batch_dims, context.length_dim]), tf.int32)


def _name(index: int) -> str:
    return f"layer_{index:03d}"


def _newest(
    before: mtf.Tensor, row: mtf.Tensor, length: mtf.Dimension, end: mtf.Tensor
) -> mtf.Tensor:
    """Returns the last positions of the memory and the row's tokens, in the shape of `before`.

    Args:
        before: the memory before the row, `[batch, memory_positions, ...]`.
        row: the same of the row, `[batch, length, ...]`.
        length: the Dimension of the row.
        end: the number of tokens of each row, int32 `[batch]`.
    """
    kept = before.shape.get_dim_by_name(settings.memory_positions_dim(1).name)
    row = mtf.rename_dimension(mtf.stop_gradient(row), length.name, kept.name)
    axis = before.shape.dims.index(kept)

    def newest(before: tf.Tensor, row: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        both = tf.concat([before, tf.cast(row, before.dtype)], axis)
        places = end[..., tf.newaxis] + tf.range(kept.size)  # [batch, memory_positions]
        return tf.gather(both, places, axis=axis, batch_dims=axis)

    others = [dim for dim in before.shape.dims if dim != kept]
    # The position's dimension follows those of the batch in all three.
    return mtf.slicewise(
        newest, [before, row, end], before.shape, before.dtype, others, grad_function=0
    )


def _as_length(context: transformer.Context, x: mtf.Tensor) -> mtf.Tensor:
    """Renames `memory_positions` to the length's name, so that layers take x as a text."""
    name = settings.memory_positions_dim(1).name
    return mtf.rename_dimension(x, name, context.length_dim.name)


def _with_length(context: transformer.Context, shape: mtf.Shape, size: int) -> mtf.Shape:
    length = mtf.Dimension(context.length_dim.name, size)
    return mtf.Shape([length if dim == context.length_dim else dim for dim in shape.dims])
