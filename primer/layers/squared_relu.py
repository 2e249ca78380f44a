"""The squared ReLU, relu(x)^2, in fewer passes over memory than Mesh-TensorFlow's.

Primer (https://arxiv.org/abs/2109.08668), section 3. `mtf.squared_relu` computes the same, but
its gradient is built from the gradients of the square and of the ReLU: five component-wise
operations on the largest activation of a block, where d x = 2 relu(x) d y needs two.
Any shape, the same in and out.
"""

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


@gin.register
def squared_relu(x):
    """Returns relu(x)^2, for `DenseReluDense.activation = [@squared_relu]`."""
    return mtf.cwise(_forward, [x], grad_function=_gradient, name="squared_relu")


def _forward(x):
    return tf.square(tf.nn.relu(x))


def _gradient(op, dy):
    # relu(x) is computed once: TensorFlow finds that it is the same as in the forward pass.
    return [mtf.cwise(_backward, [op.inputs[0], dy], name="squared_relu_grad")]


def _backward(x, dy):
    r = tf.nn.relu(x)
    return dy * (r + r)
