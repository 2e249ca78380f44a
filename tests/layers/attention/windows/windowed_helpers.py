"""Runs windowed layers alone: outputs, losses and gradients of several in one graph."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.layers.attention.windows.windowed import WindowedSelfAttention
from tests.layers import helpers

WINDOWED = helpers.Architecture(attention=WindowedSelfAttention)
TARGETS = np.random.default_rng(0).integers(2, 97, [4, 10])
X = np.random.default_rng(1).standard_normal([2, 13, 16]).astype(np.float32)
# Segments that end within blocks and at their borders, one longer than the window, padding (0).
PARTS = np.array([[1] * 4 + [2] * 6 + [3, 0, 0], [1, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4]])


def context_for(b, x, mode="eval", **settings):
    """Returns the context that a causal language model gives to a layer."""
    context = helpers.layer_context(b, x, mode)
    context.model.layout, context.model.mesh_shape = b.layout, b.mesh_shape
    index = mtf.range(b.mesh, context.length_dim, tf.int32)
    priorities = {"position": index, "read_priority": index, "write_priority": index}
    for name, value in {**priorities, "new_states": [], **settings}.items():
        setattr(context, name, value)
    return context


def call(b, layer, context, x):
    with tf.variable_scope("layer", reuse=tf.AUTO_REUSE):
        return layer.call(context, x)


def layer_settings(**settings):
    return {"num_heads": 4, "key_value_size": 8, "relative_attention_type": "bias", **settings}


def run(layers, x=X, parts=None, variables=None, mode="train", mesh_shape="", layout=""):
    """Runs several layers with the same variables at once.

    Returns:
        for each key of `layers` a dict of y, and in mode "train" of the loss and the gradients of x
        and of the variables.
    """
    outputs = {}
    with helpers.bench(mesh_shape, layout, variables) as b:
        x = b.put(x, *("outer_batch", "batch", "length", "d_model")[-x.ndim :])
        parts = None if parts is None else b.put(parts.astype(np.int32), "batch", "length")
        for name, layer in layers.items():
            context = context_for(b, x, mode, sequence_id=parts, losses=[])
            y = call(b, layer, context, x)
            outputs[name, "y"] = y
            if mode == "train":
                # The weight of y is zero where x is, as in padding.
                loss = mtf.add_n([mtf.reduce_sum(y * mtf.sin(9.0 * x))] + context.losses)
                ends = {"x": x, **{v.name: v.value for v in b.graph.trainable_variables}}
                outputs[name, "loss"] = loss
                for end, gradient in zip(ends, mtf.gradients([loss], list(ends.values()))):
                    outputs[name, end] = gradient
        values = b.run(outputs)
    return {name: {k: v for (n, k), v in values.items() if n == name} for name in layers}


def random_variables():
    draw = np.random.default_rng(2).standard_normal
    shapes = {"q": (16, 32), "k": (16, 32), "v": (16, 32), "o": (32, 16)}
    variables = {f"layer/{n}": draw(s) * s[0] ** -0.5 for n, s in shapes.items()}
    variables["layer/relative_attention_bias"] = draw([4, 32])
    return {name: value.astype(np.float32) for name, value in variables.items()}


def assert_equal(values, expected, atol=1e-5):
    assert values.keys() == expected.keys()
    for key, value in expected.items():
        scale = max(1.0, np.abs(value).max())
        np.testing.assert_allclose(values[key], value, rtol=0, atol=atol * scale, err_msg=str(key))
