"""The separable convolution against numpy: values, variable names, decoding, initial scale."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers.convolution import separable_conv
from tests.layers import helpers, single_layer

RNG = np.random.default_rng(0)
X = RNG.standard_normal([2, 6, 8])
DEPTHWISE = "separable_conv1d/depthwise_conv_hack/depthwise_dense_"
POINTWISE = "separable_conv1d/pointwise_dense/"
# The oldest tap first, under the names of Mesh-TF's SeparableConv1DLayer.
VARIABLES = {
    **{f"{DEPTHWISE}{i}/kernel": RNG.standard_normal([8]) for i in range(3)},
    DEPTHWISE + "0/bias": RNG.standard_normal([8]),
    POINTWISE + "kernel": RNG.standard_normal([8, 5]),
    POINTWISE + "bias": RNG.standard_normal([5]),
}


class Layer(transformer.TransformerLayer):
    """The convolution as a layer, with 5 new channels."""

    def call(self, context, x, losses=None):
        new_dim = mtf.Dimension("new_channels", 5)
        return separable_conv.separable_conv(context, x, x.shape.dims[-1], new_dim, 3)


def expected():
    padded = np.pad(X, [[0, 0], [2, 0], [0, 0]])
    y = sum(padded[:, i : i + 6] * VARIABLES[f"{DEPTHWISE}{i}/kernel"] for i in range(3))
    y = y + VARIABLES[DEPTHWISE + "0/bias"]
    return y @ VARIABLES[POINTWISE + "kernel"] + VARIABLES[POINTWISE + "bias"]


def test_values_are_those_of_the_equation():
    y = single_layer.run(Layer(), VARIABLES, X)["y"]
    np.testing.assert_allclose(y, expected(), rtol=0, atol=1e-5)


def test_decoding_computes_the_same():
    with helpers.bench(variables=VARIABLES) as b:
        x = b.put(X.astype(np.float32), *single_layer.NAMES)
        context = single_layer.context_of(b, x, "first_part")
        context.initial_position = b.put(np.array([1, 3], np.int32), "batch")
        Layer().call(context, x)
        step = single_layer.context_of(b, x, "incremental")
        step.states = context.new_states
        here = b.put(X[[0, 1], [1, 3]].astype(np.float32), "batch", "d_model")
        with tf.variable_scope("", reuse=True):
            y = b.run({"y": Layer().call(step, here)})["y"]
    np.testing.assert_allclose(y, expected()[[0, 1], [1, 3]], rtol=0, atol=1e-5)
