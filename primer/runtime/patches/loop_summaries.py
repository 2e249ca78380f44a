"""Mesh-TF 0.1.21: scalar summaries inside loops, as microbatches are, cannot be fetched.

`mtf.scalar_summary` collects a tensor to be fetched, and a tensor in the body of a loop cannot be.
The patch adds such a scalar to a local variable [sum, count] in every iteration; TensorBoard gets
the mean since the last event.
"""

import functools
from types import ModuleType

import tensorflow.compat.v1 as tf
from mesh_tensorflow import utils as mtf_utils

from primer.runtime.patches import loop_iterations

# The graph collection of (name, local variable [sum, count]). A tuple as key keeps TensorFlow from
# storing it, and from a warning that it cannot.
TOTALS = ("primer/loop_scalars",)


def patch(ops: ModuleType) -> None:
    """Patches `mesh_tensorflow.ops.ScalarSummaryOperation`."""
    ops.ScalarSummaryOperation.lower = _accumulating_lower(ops.ScalarSummaryOperation.lower)


def means() -> tuple[dict[str, tf.Tensor], tf.Operation]:
    """Returns the means since the last reset, by name, and the operation that resets them."""
    totals = tf.get_collection(TOTALS)
    values = {name: total[0] / tf.maximum(total[1], 1.0) for name, total in totals}
    resets = [tf.assign(total, tf.zeros_like(total)) for _, total in totals]
    return values, tf.group(resets)


def _accumulating_lower(stock_lower):
    @functools.wraps(stock_lower)
    def lower(operation, lowering):
        bodies = loop_iterations.open_bodies(lowering)
        if not bodies:
            return stock_lower(operation, lowering)
        laid_out = lowering.tensors[operation.inputs[0]].to_laid_out_tensor()
        total = _total(operation.name)
        value = tf.cast(laid_out.tensor_list[0], tf.float32)
        addition = tf.assign_add(total, tf.stack([value, 1.0])).op
        bodies[-1].side_effects.append(addition)
        lowering.set_tensor_lowering(operation.outputs[0], laid_out)
        return None

    return lower


def _total(name):
    with mtf_utils.outside_all_rewrites():
        total = tf.get_variable(
            f"loop_scalars/{name}",
            [2],
            initializer=tf.zeros_initializer(),
            trainable=False,
            use_resource=True,
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
        )
    tf.add_to_collection(TOTALS, (name, total))
    return total
