"""Creates the variables of a layer, and sets the scope that a layer class stores them under.

Mesh-TensorFlow stores a layer's variables under the name of its class
(`transformer/block_000/layer_001/MoE1D/wi/kernel`), so that the class name is part of every
checkpoint. A layer that replaces one of Mesh-TensorFlow's needs another name for gin, and must
still load the checkpoints of the layer that it replaces.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer

_Class = TypeVar("_Class", bound=type)


def stored_under(scope: str) -> Callable[[_Class], _Class]:
    """Returns a class decorator that stores a layer's variables under `scope`.

    Place it above `@gin.configurable`, which registers the class under its name in the source.
    """

    def decorate(cls: _Class) -> _Class:
        # `transformer.sublayer_call_layer` reads `__name__`.
        cls.__name__ = scope
        return cls

    return decorate


def get_variable(
    context: transformer.Context,
    name: str,
    dims: Sequence[mtf.Dimension],
    initializer: Any = None,
    dtype: mtf.VariableDType | None = None,
) -> mtf.Tensor:
    """Returns a variable `[ensemble, *dims]`; models without an ensemble lack that dimension.

    Args:
        context: the layer's context.
        name: the variable's name below the current scope.
        dims: the dimensions after the ensemble's.
        initializer: a TensorFlow initializer, or None for Mesh-TensorFlow's default.
        dtype: the variable's types; by default `context.variable_dtype`.
    """
    return mtf.get_variable(
        context.mesh,
        name,
        mtf.Shape(context.model.ensemble_dims + list(dims)),
        initializer=initializer,
        dtype=dtype or context.variable_dtype,
    )
