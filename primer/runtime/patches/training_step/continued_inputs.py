"""Mesh-TF 0.1.21: the first input of every row is 0, also where the row continues a text.

Where rows carry a state (`carried_state`), the first input of a row that continues the text of the
row before is the last token of that row.
"""

import functools
import types

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common.recurrence import carried_state


def patch(transformer: types.ModuleType) -> None:
    """Patches `autoregressive_inputs` of `mesh_tensorflow.transformer.transformer`."""
    stock = transformer.autoregressive_inputs

    @functools.wraps(stock)
    def autoregressive_inputs(
        targets: mtf.Tensor, sequence_id: mtf.Tensor | None = None
    ) -> mtf.Tensor:
        inputs = stock(targets, sequence_id)
        state = carried_state.current()
        if state is None or not state.has(carried_state.LAST_TOKENS):
            return inputs
        return _continued(state, inputs, targets, sequence_id)

    transformer.autoregressive_inputs = autoregressive_inputs


def _continued(state, inputs, targets, sequence_id):
    """Returns inputs whose first one is the last token of the row before, if it goes on."""
    length = targets.shape.dims[-1]
    ids = mtf.ones_like(targets) if sequence_id is None else sequence_id
    state.begin(targets.mesh, targets.shape.dims[:-1])
    last = state.value(carried_state.LAST_TOKENS)  # [batch]
    texts = state.value(carried_state.TEXTS)  # [batch, memory_positions]
    first = mtf.one_hot(mtf.zeros_like(last), length, dtype=tf.int32)  # [batch, length]
    goes_on = mtf.equal(_at(texts, texts.shape.dims[-1].size - 1), _at(ids, 0))  # [batch]
    inputs += first * (last * mtf.to_int32(goes_on))
    tokens = mtf.to_int32(mtf.not_equal(ids, 0))
    number = mtf.reduce_sum(tokens, reduced_dim=length)  # [batch]
    # All zeros for a row without a token, which leaves the last one as it was.
    end = mtf.one_hot(number - 1, length, dtype=tf.int32)  # [batch, length]
    newest = mtf.reduce_sum(mtf.abs(targets) * end, reduced_dim=length)
    state.record(carried_state.LAST_TOKENS, newest + last * mtf.to_int32(mtf.equal(number, 0)))
    return inputs


def _at(x, index):
    """Returns x `[batch, length]` at one position, `[batch]`."""
    length = x.shape.dims[-1]
    return mtf.reduce_sum(mtf.slice(x, index, 1, length.name), output_shape=x.shape - length)
