"""The input of a layer whose weights are split over another axis of the mesh than activations.

Between layers activations are `[batch, length, d_model]`; a layer sees `[batch, length,
d_model_whole]`, and its weights have this dimension too (`stored_weights`). Where a layout does not
ask for it both are the same dimension, and these functions return what they get.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import mesh_tensorflow as mtf

from primer.common.sharding.stored_weights import MODEL, WHOLE_MODEL, current, renamed


def to_whole(x: mtf.Tensor) -> mtf.Tensor:
    """Gathers activations `[..., d_model]` as `[..., d_model_whole]`, where a layout needs it."""
    return x if current() is None else _rename(x, MODEL, WHOLE_MODEL)


def to_split(x: mtf.Tensor) -> mtf.Tensor:
    """Turns `[..., d_model_whole]` to `[..., d_model]`, the inverse of `to_whole`."""
    return x if current() is None else _rename(x, WHOLE_MODEL, MODEL)


def whole_dim(dim: mtf.Dimension) -> mtf.Dimension:
    """Returns the dimension that `to_whole` gives to activations in place of d_model."""
    return dim if current() is None else renamed(dim, WHOLE_MODEL)


@contextlib.contextmanager
def inside_layer(context: Any) -> Iterator[None]:
    """A context in which a layer sees the model's dimension whole, and its memory too.

    Args:
        context: the layer's transformer.Context.
    """
    _gather_again(context.cache)
    model, past = context.model, getattr(context, "past", None)
    model_dim = model.model_dim
    model.model_dim = whole_dim(model_dim)
    if past is not None:
        values = {f.name: getattr(past, f.name) for f in dataclasses.fields(past)}
        context.past = type(past)(**{name: _past(value) for name, value in values.items()})
    try:
        yield
    finally:
        model.model_dim = model_dim
        if past is not None:
            context.past = past


def _gather_again(cache: Any) -> None:
    """Replaces weights that an earlier layer gathered and shares, such as its relative biases.

    A layer that is recomputed in the backward pass may read variables of the layers before it, and
    nothing else that they made.
    """
    for key, value in list((cache or {}).items()):
        if isinstance(value, mtf.Tensor) and isinstance(value.operation, mtf.ReshapeOperation):
            variable = value.operation.inputs[0].operation
            if isinstance(variable, mtf.Variable):
                cache[key] = mtf.reshape(variable.outputs[0], value.shape, name="gather_weight")


def _past(value):
    is_stream = isinstance(value, mtf.Tensor) and MODEL in value.shape.dimension_names
    return to_whole(value) if is_stream else value


def _rename(x: mtf.Tensor, old: str, new: str) -> mtf.Tensor:
    return mtf.rename_dimension(x, old, new) if old in x.shape.dimension_names else x
