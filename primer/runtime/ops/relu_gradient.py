"""The gradient of the ReLU in one pass, from the ReLU's output.

Mesh-TF 0.1.21 compares the input with 0, casts the answers and multiplies: three passes, and the
input stays in memory besides the output. A TPU keeps Mesh-TF's form: XLA fuses the passes.
"""

import functools
from types import ModuleType

import tensorflow.compat.v1 as tf
from mesh_tensorflow import ops  # The package is not complete yet when this module is imported.

from primer.common import build_mode


def patch(mesh_ops: ModuleType) -> None:
    """Replaces the gradient of `mesh_tensorflow.ops.relu`."""
    mesh_ops._relu_grad = _one_pass(mesh_ops._relu_grad)


def _one_pass(stock):
    @functools.wraps(stock)
    def relu_grad(op, dy):
        if build_mode.for_tpu():
            return stock(op, dy)
        return [ops.cwise(_gradient, [dy, op.outputs[0]], name="relu_grad")]

    return relu_grad


def _gradient(dy: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.ReluGrad(gradients=dy, features=y)
