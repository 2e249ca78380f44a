"""Mesh-TF 0.1.21: a layout has one rule for d_model, in weights and in activations.

With the patch `mtf.get_variable` stores a weight under the names of dimensions that
`primer.common.sharding` gives it, and returns it under those that the layer asks for:
Mesh-TF's reshape gathers what is split. Slots of optimizers and other variables without a gradient
stay as they are, and so does every weight without a rule for `d_model_weight`.
"""

import functools
from types import ModuleType

import tensorflow.compat.v1 as tf


def patch(ops: ModuleType) -> None:
    """Patches `mesh_tensorflow.ops.get_variable`."""
    ops.get_variable = _storing(ops)


def _storing(ops):
    stock = ops.get_variable

    @functools.wraps(stock)
    def get_variable(mesh, name, shape, *args, trainable=True, **kwargs):
        from primer.common.sharding import stored_weights

        sharding = stored_weights.current() if trainable else None
        if sharding is None:
            return stock(mesh, name, shape, *args, trainable=trainable, **kwargs)
        shape = ops.convert_to_shape(shape)
        full_name = "/".join(filter(None, [tf.get_variable_scope().name, name]))
        stored = sharding.stored(full_name, shape)
        weight = stock(mesh, name, stored, *args, trainable=trainable, **kwargs)
        return weight if stored == shape else ops.reshape(weight, shape, name="gather_weight")

    return get_variable
