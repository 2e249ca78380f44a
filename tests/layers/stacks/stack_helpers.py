"""Runs a layer stack alone, and its equations in numpy.

The layers of these tests have no variables: an attention layer that halves and shifts, and a
feed-forward layer that is tanh. The norms are RMS norms with random scales.
"""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, transformer_layers

from tests.layers import helpers, single_layer

X = np.random.default_rng(0).standard_normal([2, 5, 8]).astype(np.float32)


class Attention(transformer_layers.SelfAttention):
    """0.5 x + 0.1: an attention layer only by its class."""

    def call(self, context, x, losses=None):
        return 0.5 * x + 0.1


class FeedForward(transformer_layers.DenseReluDense):
    """tanh(x)."""

    def call(self, context, x, losses=None):
        return mtf.tanh(x)


def attention(x):
    return 0.5 * x + 0.1


def feed_forward(x):
    return np.tanh(x)


def rms(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def stack_of(stack_class, layers, **settings):
    """Returns a stack of named layers with RMS norms."""
    for index, layer in enumerate(layers):
        layer.set_name(f"layer_{index}")
    return stack_class(layers, **{**helpers.sublayers(transformer.sublayer_rms_norm), **settings})


def run(stack, x=X, ids=None):
    """Returns the values of a stack with random scales.

    Returns:
        a dict: y `[batch, length, d_model]`; "output 0" and so on, `context.layer_outputs`; the
        gradients "d x" and "d <variable>" of the sum of y times weights; the variables by name.
    """
    variables = single_layer.random_variables(stack, d_model=x.shape[-1])
    with helpers.bench(variables=variables) as b:
        given = b.put(x, *single_layer.NAMES)
        context = single_layer.context_of(b, given, "train", ids)
        outputs = {"y": stack.call(context, given)}
        outputs |= {f"output {i}": t for i, t in enumerate(context.layer_outputs)}
        weights = b.put(np.random.default_rng(1).standard_normal(x.shape), *single_layer.NAMES)
        loss = mtf.reduce_sum(outputs["y"] * mtf.cast(weights, tf.float32))
        trainable = {"d " + v.name: v.value for v in b.graph.trainable_variables}
        sources = {"d x": given, **trainable}
        outputs |= dict(zip(sources, mtf.gradients([loss], list(sources.values()))))
        values = b.run(outputs)
    assert context.layer_index == len(stack.layers)
    return values | variables
