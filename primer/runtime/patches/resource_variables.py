"""Mesh-TF 0.1.21: the optimizer may write a weight before back-propagation has read it.

A read of TensorFlow 1's reference variables aliases the variable's buffer, and nothing orders reads
and writes of a step. Gradients then depend on the timing of threads (20% of a second moment after
one step was seen). The patch makes resource variables that a step reads exactly once: the value
that was read exists as long as an operation needs it.

On a mesh of several devices Mesh-TF makes a variable of each slice of a weight. It keeps these out
of all collections but TensorFlow's of trainable variables, whose readers take them for weights that
a checkpoint lacks. With the patch slices are not trainable, and the graph records which weights
they are slices of (`primer.checkpoints.variable_slices`): Mesh-TF would read and write checkpoints
through a whole copy of each weight on one host.
"""

import functools
from types import ModuleType

import tensorflow.compat.v1 as tf
from mesh_tensorflow import utils as mtf_utils

from primer.checkpoints import variable_slices


def patch(ops: ModuleType) -> None:
    """Patches `mesh_tensorflow.ops.Variable`, which keeps the stock form on a TPU's mesh."""
    ops.Variable.lower = _lower_with_one_read(ops.Variable.lower)


def use_resources() -> None:
    """Makes all variables of the default graph resource variables."""
    tf.get_variable_scope().set_use_resource(True)


def _lower_with_one_read(stock_lower):
    @functools.wraps(stock_lower)
    def lower(variable, lowering):
        mesh_impl = lowering.mesh_impl(variable)
        if not hasattr(mesh_impl, "devices"):
            return stock_lower(variable, lowering)
        with mtf_utils.outside_all_rewrites(), _slices_not_trainable():
            laid_out = mesh_impl.LaidOutVariable(variable, mesh_impl)
        lowering.variables[variable] = laid_out
        if not laid_out.slice_is_master:
            _record(variable, mesh_impl, laid_out)

        def read(part):
            return tf.cast(tf.identity(part), variable.activation_dtype)

        value = mesh_impl.slicewise(read, laid_out.laid_out_tensor)
        lowering.set_tensor_lowering(variable.outputs[0], value)
        kind = "trainable" if variable.trainable else "untrainable"
        lowering.add_counter(f"variables/{kind}", variable.outputs[0].size)
        return None

    return lower


def _record(variable, mesh_impl, laid_out):
    """Records which slice of the weight, or of the stacked weights, each device has."""
    masters = getattr(variable, "_masters", None)
    first = 1 if masters else 0  # The first dimension of stacked weights numbers them.
    begins = [mesh_impl.slice_begin(variable.shape, n)[first:] for n in range(mesh_impl.size)]
    variable_slices.record(
        variable_slices.SlicedVariables(
            tuple(masters or [variable.get_master()]),
            bool(masters),
            tuple(map(tuple, begins)),
            tuple(mesh_impl.slice_shape(variable.shape)[first:]),
            tuple(laid_out.laid_out_tensor.all_slices),
        )
    )


def _slices_not_trainable():
    """Returns a context in which new TensorFlow variables are not trainable."""

    def get_variable(getter, *args, **kwargs):
        return getter(*args, **{**kwargs, "trainable": False})

    return tf.variable_scope(
        tf.get_variable_scope(), custom_getter=get_variable, auxiliary_name_scope=False
    )
