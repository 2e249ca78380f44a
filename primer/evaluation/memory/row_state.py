"""The memory of the scoring graph: each row of a batch continues that row of the batch before.

Where a row begins a text, or a part of a text that is scored on its own, its memory is emptied
first.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common.recurrence import carried_state


@contextlib.contextmanager
def continued(
    model: Any, begins: mtf.Tensor | None, recomputed: int = 0
) -> Iterator[list[mtf.Operation]]:
    """A context that builds a model whose rows continue those of the batch before.

    Args:
        model: a Unitransformer with memory.
        begins: int32 `[outer_batch, batch]`, 1 for rows whose memory is emptied first; None: the
            graph has no state, and every row begins with empty memory.
        recomputed: tokens at the end of a row that the next row has again, before its own; memory
            ends before them. A row is then one segment.

    Yields:
        A list, which after the block has the operations that keep the memory for the next batch.
    """
    updates: list[mtf.Operation] = []
    if begins is None:
        yield updates
        return
    parts = model.layer_stack.carried_parts(model.model_dim, tf.float32, train=False)
    state = carried_state.declare(parts, recomputed)
    assert state is not None
    variables = state.variables(begins.mesh, begins.shape.dims)
    before = {name: _emptied(value, begins) for name, value in variables.items()}
    with state.values_in_loop(before) as after:
        with _rows_are_segments(model) if recomputed else contextlib.nullcontext():
            yield updates
    state.end_loop(variables, after)
    updates += state.assignments()


def _emptied(value: mtf.Tensor, begins: mtf.Tensor) -> mtf.Tensor:
    """Returns `[batch, memory_positions, ...]` with zeros in rows that begin.

    Zeros are chosen, not multiplied with: an infinite value of another text must not stay.
    """

    def emptied(value: tf.Tensor, begins: tf.Tensor) -> tf.Tensor:
        rank = value.shape.rank - begins.shape.rank
        shape = tf.concat([tf.shape(begins), [1] * rank], 0)
        empty = tf.broadcast_to(tf.reshape(begins, shape) > 0, tf.shape(value))
        return tf.where(empty, tf.zeros_like(value), value)

    dims = value.shape.dims
    return mtf.slicewise(emptied, [value, begins], value.shape, value.dtype, dims)


@contextlib.contextmanager
def _rows_are_segments(model: Any) -> Iterator[None]:
    """A context in which layers do not cut a row into segments."""
    layers = [x for x in model.layer_stack._layers if getattr(x, "recurrence", None)]
    saved = [layer.recurrence for layer in layers]
    for layer in layers:
        whole = dataclasses.replace(layer.recurrence.evaluate, segment_length=None)
        layer.recurrence = dataclasses.replace(layer.recurrence, evaluate=whole)
    try:
        yield
    finally:
        for layer, recurrence in zip(layers, saved, strict=True):
            layer.recurrence = recurrence
