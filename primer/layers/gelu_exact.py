"""The GELU with the normal distribution itself instead of Mesh-TensorFlow's tanh approximation.

Gaussian error linear units (https://arxiv.org/abs/1606.08415), section 2:

    gelu(x) = x Phi(x),    Phi(x) = (1 + erf(x / sqrt(2))) / 2.

GPT-NeoX and Pythia use this form, GPT-2, GPT-Neo and Gemma `mtf.gelu`; the two differ by up to
5e-4. Output shape = input shape.
"""

import math

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


@gin.register
def gelu_exact(x: mtf.Tensor) -> mtf.Tensor:
    """Returns x Phi(x), for `DenseReluDense.activation = [@gelu_exact]`."""
    return mtf.cwise(_forward, [x], grad_function=_gradient, name="gelu_exact")


def _forward(x: tf.Tensor) -> tf.Tensor:
    return x * _phi(x)


def _phi(x: tf.Tensor) -> tf.Tensor:
    return 0.5 * (1 + tf.math.erf(x * math.sqrt(0.5)))


def _gradient(op: mtf.Operation, dy: mtf.Tensor) -> list[mtf.Tensor]:
    return [mtf.cwise(_backward, [op.inputs[0], dy], name="gelu_exact_grad")]


def _backward(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
    density = tf.exp(-0.5 * tf.square(x)) / math.sqrt(2 * math.pi)
    # TensorFlow merges this _phi(x) with the one of the forward pass and computes it once.
    return dy * (_phi(x) + x * density)
