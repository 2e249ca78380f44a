"""The layer norm computes in float32, and each model of an ensemble has its own variables."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from tests.layers import helpers, single_layer

RNG = np.random.default_rng(0)


def oracle(x, epsilon=1e-6):
    x = x.astype(np.float64)
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + epsilon)


def norms(x, dtype, **settings):
    """Returns x and its norms `[rows, d_model]`, in the type of the activations, and d x."""
    with helpers.bench() as b:
        given = mtf.cast(b.put(x[None].astype(np.float32), *single_layer.NAMES), dtype)
        context = helpers.layer_context(b, given)
        y = transformer.sublayer_true_layer_norm(given, None, context, **settings)
        assert y.dtype == dtype
        weights = b.put(np.arange(x.size).reshape(1, *x.shape) / x.size, *single_layer.NAMES)
        loss = mtf.reduce_sum(mtf.to_float(y) * mtf.to_float(weights))
        (dx,) = mtf.gradients([loss], [given])
        values = b.run({"x": mtf.to_float(given), "y": mtf.to_float(y), "dx": mtf.to_float(dx)})
    return [values[name][0] for name in ("x", "y", "dx")]


@pytest.mark.parametrize("mean, spread", [(0, 1), (8, 1), (2, 0.1), (0, 0.01), (0, 100)])
def test_bfloat16_rows(mean, spread):
    """Rounding the result alone gives 0.0017; the stock norm, 0.034 for a mean of 2 +- 0.1."""
    x, y, dx = norms(mean + spread * RNG.standard_normal([200, 512]), tf.bfloat16)
    expected = oracle(x)
    error = np.sqrt(np.square(y - expected).mean() / np.square(expected).mean())
    assert error < 0.002
    assert np.isfinite(dx).all()


def test_float32_rows_and_gradients():
    x = 3 * RNG.standard_normal([5, 32]) + 1
    given, y, dx = norms(x, tf.float32, epsilon=0.1)
    np.testing.assert_allclose(y, oracle(given, 0.1), rtol=0, atol=1e-5)
    weights = np.arange(x.size).reshape(x.shape) / x.size
    step = 1e-4 * RNG.standard_normal(x.shape)
    slope = ((oracle(x + step, 0.1) - oracle(x - step, 0.1)) * weights).sum() / 2
    np.testing.assert_allclose((dx * step).sum(), slope, rtol=1e-3)


def test_the_models_of_an_ensemble_have_their_own_variables():
    scope = "true_layer_norm/layer_prepostprocess/layer_norm/layer_norm_"
    scale, bias = RNG.standard_normal([2, 2, 8]).astype(np.float32)
    x = RNG.standard_normal([2, 3, 8]).astype(np.float32)
    with helpers.bench(variables={scope + "scale": scale, scope + "bias": bias}) as b:
        given = b.put(x, "ensemble", "length", "d_model")
        context = helpers.layer_context(b, given)
        y = transformer.sublayer_true_layer_norm(given, None, context)
        assert {v.shape.to_string for v in b.graph.trainable_variables} == {
            "Shape[ensemble=2, d_model=8]"
        }
        y = b.run({"y": y})["y"]
    expected = oracle(x) * scale[:, None] + bias[:, None]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5)
