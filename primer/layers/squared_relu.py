"""The squared ReLU, relu(x)^2, with a cheaper gradient than Mesh-TensorFlow's.

Primer (https://arxiv.org/abs/2109.08668), section 3. `mtf.squared_relu` computes the same, but
builds its gradient from those of the square and of the ReLU: five component-wise operations on the
largest activation of a block, where dx = 2 relu(x) dy needs two. Output shape = input shape.
"""

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


@gin.register
def squared_relu(x: mtf.Tensor) -> mtf.Tensor:
    """Returns relu(x)^2, for `DenseReluDense.activation = [@squared_relu]`."""
    return mtf.cwise(_forward, [x], grad_function=_gradient, name="squared_relu")


def _forward(x: tf.Tensor) -> tf.Tensor:
    return tf.square(tf.nn.relu(x))


def _gradient(op: mtf.Operation, dy: mtf.Tensor) -> list[mtf.Tensor]:
    # TensorFlow merges this relu(x) with the one of the forward pass and computes it once.
    return [mtf.cwise(_backward, [op.inputs[0], dy], name="squared_relu_grad")]


def _backward(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
    r = tf.nn.relu(x)
    return dy * (r + r)
