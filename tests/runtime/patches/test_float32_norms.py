"""RMS norm and scale norm compute in float32; graphs of float32 activations have no casts."""

import gin
import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from tests.layers import helpers, single_layer

RNG = np.random.default_rng(0)
NORMS = ["sublayer_rms_norm", "sublayer_rms_norm_subsampled", "sublayer_scale_norm"]


def run(name, x, dtype, **settings):
    """Returns x and its norm `[rows, d_model]` in the type of the activations, d x, and the graph.

    The norm is the one that gin files name.
    """
    gin.parse_config([f"{name}.{key} = {value}" for key, value in settings.items()])
    norm = gin.get_configurable(name)
    with helpers.bench() as b:
        given = mtf.cast(b.put(x[None].astype(np.float32), *single_layer.NAMES), dtype)
        context = helpers.layer_context(b, given)
        context.variable_dtype = mtf.VariableDType(tf.float32, tf.float32, dtype)
        y = norm(given, None, context)
        assert y.dtype == dtype
        operations = [type(op).__name__ for op in b.graph.operations]
        (dx,) = mtf.gradients([mtf.reduce_sum(mtf.to_float(y))], [given])
        values = b.run({"x": mtf.to_float(given), "y": mtf.to_float(y), "dx": mtf.to_float(dx)})
    return *(values[key][0] for key in ("x", "y", "dx")), operations


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("spread", [1, 0.01, 100])
def test_bfloat16_rows(name, spread):
    """Rounding the result alone gives 0.0017."""
    x, y, dx, _ = run(name, spread * RNG.standard_normal([200, 512]), tf.bfloat16)
    x = x.astype(np.float64)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    error = np.sqrt(np.square(y - expected).mean() / np.square(expected).mean())
    assert error < 0.002
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("name", NORMS)
def test_float32_rows_and_their_graph(name):
    x, y, _, operations = run(name, RNG.standard_normal([5, 32]), tf.float32, epsilon=0.5)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.5)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    assert "CastOperation" not in operations


def test_old_names_of_the_rms_norm():
    with helpers.bench() as b:
        given = mtf.cast(b.put(RNG.standard_normal([1, 3, 8]), *single_layer.NAMES), tf.bfloat16)
        context = helpers.layer_context(b, given)
        context.variable_dtype = mtf.VariableDType(tf.float32, tf.float32, tf.bfloat16)
        transformer.sublayer_legacy_rms_norm(given, None, context)
        (scale,) = b.graph.trainable_variables
        assert scale.value.dtype == tf.float32
