"""Weights that a step reads before it changes them.

Stock Mesh-TF on TensorFlow 1's reference variables lets the optimizer write a weight while the
backward pass still has to multiply by it: the reading aliases the variable's own buffer, and
nothing orders the two. Gradients then depend on the threads' timing (seen at 20% of a second
moment after one step). With resource variables, each read exactly once per step, the old value
lives as long as somebody needs it.
"""

import functools

import tensorflow.compat.v1 as tf
from mesh_tensorflow import utils as mtf_utils


def patch(ops):
    """Mends `mesh_tensorflow.ops.Variable` where the mesh is not a TPU's."""
    ops.Variable.lower = _lower_with_one_read(ops.Variable.lower)


def use_resources():
    """Lets all variables of the default graph be resource variables."""
    tf.get_variable_scope().set_use_resource(True)


def _lower_with_one_read(stock_lower):
    @functools.wraps(stock_lower)
    def lower(variable, lowering):
        mesh_impl = lowering.mesh_impl(variable)
        if not hasattr(mesh_impl, "devices"):
            return stock_lower(variable, lowering)
        with mtf_utils.outside_all_rewrites():
            laid_out = mesh_impl.LaidOutVariable(variable, mesh_impl)
        lowering.variables[variable] = laid_out

        def read(part):
            return tf.cast(tf.identity(part), variable.activation_dtype)

        value = mesh_impl.slicewise(read, laid_out.laid_out_tensor)
        lowering.set_tensor_lowering(variable.outputs[0], value)
        kind = "trainable" if variable.trainable else "untrainable"
        lowering.add_counter(f"variables/{kind}", variable.outputs[0].size)
        return None

    return lower
