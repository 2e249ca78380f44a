"""Mesh-TF 0.1.21: random draws cannot be repeated.

It takes the seeds of random operations from Python's global generator, and each operation keeps a
state of its own: no run repeats another, and a resumed run draws other numbers than an
uninterrupted one. With the patch a draw is a pure function of the run's seed, the operation's name,
the step, the loop iterations and the slice.
"""

import functools
from types import ModuleType

import tensorflow.compat.v1 as tf

from primer.common import random_seed
from primer.runtime.patches import loop_iterations


def patch(ops: ModuleType) -> None:
    """Patches `mesh_tensorflow.ops.RandomOperation`."""
    ops.RandomOperation.lower = _keyed_random_lower(ops.RandomOperation.lower)


def _stateless_functions():
    """Returns a dict from the stateful function that a layer names to its stateless form."""
    return {
        tf.random.uniform: tf.random.stateless_uniform,
        tf.random.normal: tf.random.stateless_normal,
        tf.random_uniform: tf.random.stateless_uniform,
        tf.random_normal: tf.random.stateless_normal,
        tf.random.truncated_normal: tf.random.stateless_truncated_normal,
    }


def _keyed_random_lower(stock_lower):
    """Lowers a RandomOperation to the stateless form of its function, where there is one.

    A TPU (`SimdMeshImpl`) keeps the stock form: an allreduce synchronizes its slices.
    """

    @functools.wraps(stock_lower)
    def lower(operation, lowering):
        mesh_impl = lowering.mesh_impl(operation)
        stateless_fn = _stateless_functions().get(operation._tf_fn)
        original, after = _recomputed(lowering, operation)
        if original and not stateless_fn:  # Another draw would give other numbers.
            drawn = lowering.tensors[original.outputs[0]]
            return lowering.set_tensor_lowering(operation.outputs[0], drawn)
        if stateless_fn is None or not hasattr(mesh_impl, "devices"):
            with tf.control_dependencies([part for x in after for part in x.all_slices]):
                return stock_lower(operation, lowering)
        shape = operation.outputs[0].shape
        kwargs = {key: value for key, value in operation._kwargs.items() if key != "name"}
        dtype = kwargs.pop("dtype", tf.float32)
        # Not every TensorFlow that we support has stateless functions of bfloat16.
        draw_type = tf.float32 if dtype == tf.bfloat16 else dtype
        name_seed = random_seed.stable_hash(random_seed.run_seed(), operation.name)
        key = _run_key(lowering)

        def draw(slice_number, *after):
            with tf.control_dependencies(after):
                seed = name_seed + 7919 * tf.cast(slice_number, tf.int64)
                numbers = stateless_fn(
                    mesh_impl.slice_shape(shape),
                    seed=tf.stack([seed, key]),
                    dtype=draw_type,
                    **kwargs,
                )
                return tf.cast(numbers, dtype)

        # Processors that hold the same slice have the same slice number, and draw the same.
        slices = mesh_impl.slicewise(draw, mesh_impl.laid_out_slice_num(shape), *after)
        lowering.set_tensor_lowering(operation.outputs[0], slices)
        return None

    return lower


def _recomputed(lowering, operation):
    """Returns of an operation of the backward pass its original and, in a list, what it awaits."""
    original, after = getattr(operation, random_seed.COPY, (None, None))
    return original, [] if after is None else [lowering.tensors[after].to_laid_out_tensor()]


def _run_key(lowering):
    """Returns an int64 scalar: the step and, inside loops, their iterations."""
    key = tf.cast(random_seed.step_key(), tf.int64)
    for body in loop_iterations.open_bodies(lowering):
        key = key * 65537 + tf.cast(body.iteration, tf.int64) + 1
    return key
