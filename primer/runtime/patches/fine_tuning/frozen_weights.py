"""Mesh-TF 0.1.21: every weight gets a gradient, also one that is not trained.

`utils.run.variable_filter` leaves weights out of the optimizer, after their gradients were computed
and, with microbatches, summed. With the patch the graph of training does not have a frozen weight
among those that it differentiates by. A weight knows the scope that it was made in, so that LoRA
makes its factors beside it.
"""

import functools
from types import ModuleType

import tensorflow.compat.v1 as tf

from primer.common import build_mode


def patch(ops: ModuleType) -> None:
    """Patches `mesh_tensorflow.ops.Variable`."""
    stock = ops.Variable.__init__

    @functools.wraps(stock)
    def init(variable, mesh, name, shape, dtype, initializer, trainable, **kwargs):
        from primer.parametrization import trained_weights

        variable.scope = tf.get_variable_scope()
        stock(variable, mesh, name, shape, dtype, initializer, trainable, **kwargs)
        if not trainable or isinstance(variable, ops.StackedVariable):
            return
        variable.is_frozen = not trained_weights.is_trained(variable.name)
        if variable.is_frozen and build_mode.mode() == "train":
            variable.graph.trainable_variables.remove(variable)

    ops.Variable.__init__ = init
