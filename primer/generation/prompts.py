"""The states of a model's layers after prompts, for the steps of `step_graph`.

The prompts pass through the model once (mode "first_part"), as rows `[batch, prompt_length]` that
may be shorter than the texts: the states of attention, `[batch, heads, memory_length, d_kv]`, then
end with zeros, which the steps overwrite.
"""

from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, utils

from primer.errors import UsageError

# The Dimension of the positions of a state, and that of the rows.
_POSITIONS, _LENGTH = "memory_length", "length"


def is_endless(model: transformer.Unitransformer) -> bool:
    """Returns whether the states of a model's layers serve any position.

    A model whose attention has a memory sees a bounded number of keys, by their distances; not with
    positions that count from the end of a row.
    """
    recurrent = [layer for layer in _layers(model) if getattr(layer, "recurrence", None)]
    return bool(recurrent) and not any(
        layer.counts_from_row_end or not layer.recurrence.evaluate.memory_length
        for layer in recurrent
    )


def may_be_shorter(
    model: transformer.Unitransformer, layout: mtf.LayoutRules, mesh_shape: mtf.Shape
) -> bool:
    """Returns whether prompts may be computed as rows shorter than the texts.

    Not if a layer depends on the length of the row: with a memory of segments, and with positions
    that count from its end. Not on a mesh that splits the positions, whose parts have one size.
    """
    splits = [
        layout.tensor_dimension_to_mesh_axis(mtf.Dimension(name, 0), mesh_shape)
        for name in (_POSITIONS, _LENGTH)
    ]
    return splits == [None, None] and not any(
        getattr(layer, "recurrence", None) or getattr(layer, "counts_from_row_end", False)
        for layer in _layers(model)
    )


def _layers(model):
    return getattr(getattr(model, "layer_stack", None), "layers", ())


def context(
    model: transformer.Unitransformer,
    mesh: mtf.Mesh,
    batch_dims: list[mtf.Dimension],
    length: mtf.Dimension,
    **settings: Any,
) -> transformer.Context:
    """Returns a context of decoding, to which the model adds its states.

    Args:
        model, mesh, batch_dims: those of the context.
        length: the Dimension of the positions.
        settings: further arguments of transformer.Context.
    """
    return transformer.Context(
        model=model,
        mesh=mesh,
        batch_dims=batch_dims,
        length_dim=length,
        variable_dtype=utils.get_variable_dtype(),
        new_states=[],
        constant_states=[],
        write_priority=mtf.range(mesh, length, tf.int32),
        **settings,
    )


def states_after(
    model: transformer.Unitransformer,
    prompts: mtf.Tensor,
    lengths: mtf.Tensor,
    length: mtf.Dimension,
) -> list[mtf.Tensor]:
    """Returns the states of the layers after prompts.

    Args:
        model: a Mesh-TF Unitransformer.
        prompts: int32 `[batch, prompt_length]`, padded with 0.
        lengths: int32 `[batch]`.
        length: the Dimension of the texts' positions, as long as the prompts or longer.

    Raises:
        UsageError: a layer cannot decode step by step.
    """
    *batch_dims, row = prompts.shape.dims
    positions = mtf.range(prompts.mesh, row, tf.int32)
    own = context(
        model,
        prompts.mesh,
        batch_dims,
        row,
        mode="first_part",
        position=positions,
        position_is_default=True,
        initial_position=lengths,
        read_priority=positions,
        inputs=prompts,
    )
    own.states_length = length  # Caches of windows have the size that the steps need.
    with tf.variable_scope(model.name):
        model._call_internal(own, transformer.autoregressive_inputs(prompts))
    if own.constant_states:
        raise UsageError(
            "a layer of this model keeps constant states while decoding (as attention to an "
            "encoder does): it cannot generate text step by step"
        )
    return [_lengthened(state, length.size) for state in own.new_states]


def _lengthened(state, size):
    """A state with zeros after the positions of the prompts."""
    for dim in state.shape.dims:
        if dim.name == _POSITIONS and dim.size < size:
            return mtf.pad(state, [0, size - dim.size], dim.name)
    return state
