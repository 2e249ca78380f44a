"""Mesh-TF's scalar summaries inside loops, which microbatches are.

`mtf.scalar_summary` collects a tensor to be fetched; one that lives in a loop's body cannot be.
Here such a scalar is added to a local variable [sum, count], iteration after iteration, and the
mean since the last event is what TensorBoard gets.
"""

import functools

import tensorflow.compat.v1 as tf
from mesh_tensorflow import utils as mtf_utils

from primer.runtime.patches import random_seeds

# The graph collection of (name, local variable [sum, count]).
TOTALS = "primer_loop_scalars"

_updates = []


def patch(ops):
    """Mends `mesh_tensorflow.ops.ScalarSummaryOperation`."""
    ops.ScalarSummaryOperation.lower = _accumulating(ops.ScalarSummaryOperation.lower)
    random_seeds.before_loop_ends(_keep_updates)


def means():
    """{name: mean since the last reset} and the operation that resets, in the default graph."""
    totals = tf.get_collection(TOTALS)
    values = {name: total[0] / tf.maximum(total[1], 1.0) for name, total in totals}
    resets = [tf.assign(total, tf.zeros_like(total)) for _, total in totals]
    return values, tf.group(resets)


def _accumulating(stock_lower):
    @functools.wraps(stock_lower)
    def lower(operation, lowering):
        if not random_seeds.inside_loop():
            return stock_lower(operation, lowering)
        laid_out = lowering.tensors[operation.inputs[0]].to_laid_out_tensor()
        total = _total(operation.name)
        value = tf.cast(laid_out.tensor_list[0], tf.float32)
        _updates.append(tf.assign_add(total, tf.stack([value, 1.0])).op)
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


def _keep_updates(lowering, output):
    """Ties the additions of a body to its counter: nothing else would make them run."""
    if not _updates:
        return
    laid_out = lowering.tensors[output].to_laid_out_tensor()
    with tf.control_dependencies(list(_updates)):
        kept = [tf.identity(part) for part in laid_out.tensor_list]
    lowering.tensors[output] = type(laid_out)(kept)
    _updates.clear()
