"""Mesh-TF 0.1.21: training from another checkpoint goes on at its step, with its optimizer's slots.

`init_checkpoint` loads the step as well, so that training ends at once or runs behind the end of
the learning-rate schedule. With the patch only weights are loaded. The local estimator loads them
itself (`primer.runtime.training.initial_weights`).
"""

import functools
from types import ModuleType

import tensorflow.compat.v1 as tf


def patch(utils: ModuleType) -> None:
    """Patches `mesh_tensorflow.transformer.utils`."""
    stock = utils.should_load_variable

    @functools.wraps(stock)
    def should_load_variable(name, *args, **kwargs):
        weights = {variable.op.name for variable in tf.trainable_variables()}
        return name in weights and stock(name, *args, **kwargs)

    utils.should_load_variable = should_load_variable
