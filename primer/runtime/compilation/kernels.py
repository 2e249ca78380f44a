"""Which operations XLA can compile: those with a kernel of its just-in-time devices."""

import functools

import tensorflow.compat.v1 as tf
from tensorflow.python.framework import kernels

# TensorFlow turns these, of which loops and conditions of TensorFlow 1 consist, into While and If.
_CONTROL_FLOW = ("Enter", "Exit", "LoopCond", "Merge", "NextIteration", "Switch")
_OPAQUE = (tf.string, tf.variant)


def compiles(operation: tf.Operation, on_gpu: bool) -> bool:
    """Returns whether XLA compiles an operation.

    Args:
        operation: an operation of a TensorFlow graph.
        on_gpu: whether a GPU computes it, else a processor.
    """
    if operation.type in _CONTROL_FLOW:
        return not any(_is_opaque(tensor) for tensor in operation.inputs)
    if not _has_kernel(operation.type, on_gpu):
        return False
    return not any(_is_opaque(tensor) for tensor in [*operation.inputs, *operation.outputs])


def _is_opaque(tensor):
    """Whether a tensor is none of numbers, or a variable of TensorFlow 1, which has no resource."""
    return tensor.dtype in _OPAQUE or tensor.dtype._is_ref_dtype


@functools.cache
def _has_kernel(operation_type: str, on_gpu: bool) -> bool:
    _register()
    device = "XLA_GPU_JIT" if on_gpu else "XLA_CPU_JIT"
    found = kernels.get_registered_kernels_for_op(operation_type).kernel
    return any(kernel.device_type == device for kernel in found)


@functools.cache
def _register() -> None:
    """Makes TensorFlow register the kernels, which it does when it first compiles a function."""
    with tf.Graph().as_default():
        value = tf.function(lambda x: x + 1.0, jit_compile=True)(tf.constant(0.0))
        with tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
            session.run(value)
