"""Primer's norm against numpy, and rows for which the original's is NaN."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers import sublayer_primer_norm, sublayer_uncentered_primer_norm
from tests.layers import helpers

RNG = np.random.default_rng(0)


def run(x, dtype=tf.float32, mesh_shape="", layout="", norm=None):
    """The norm of x `[batch, d_model]` and the gradient of the sum of its squares, in float32."""
    with helpers.bench(mesh_shape, layout) as b:
        xs = mtf.cast(b.put(x.astype(np.float32), "batch", "d_model"), dtype)
        y = (norm or sublayer_primer_norm)(xs, None, helpers.layer_context(b, xs))
        assert y.dtype == dtype
        weights = b.put(np.arange(x.size, dtype=np.float32).reshape(x.shape), "batch", "d_model")
        loss = mtf.reduce_sum(mtf.to_float(y) * weights)
        (dx,) = mtf.gradients([loss], [xs])
        values = b.run({"x": mtf.to_float(xs), "y": mtf.to_float(y), "dx": mtf.to_float(dx)})
    return values["x"], values["y"], values["dx"]


def oracle(x):
    x = x.astype(np.float64)
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-6)


def test_numpy():
    x = RNG.standard_normal([5, 32]) * 3 + 1
    _, y, dx = run(x)
    np.testing.assert_allclose(y, oracle(x), atol=1e-5)
    weights = np.arange(x.size).reshape(x.shape)
    step = 1e-5 * RNG.standard_normal(x.shape)
    slope = ((oracle(x + step) - oracle(x - step)) * weights).sum() / 2
    np.testing.assert_allclose((dx * step).sum(), slope, rtol=1e-3)


def test_lingvos_norm_keeps_the_mean():
    """Its gradients are those of Lingvo's models: tests/layers/gshard/."""
    x = RNG.standard_normal([5, 32]) * 3 + 1
    _, y, _ = run(x, norm=sublayer_uncentered_primer_norm)
    mean, spread = x.mean(-1, keepdims=True), x.std(-1, keepdims=True)
    np.testing.assert_allclose(y, oracle(x) + mean / spread, rtol=1e-5)
    values = run(np.full([2, 32], 3.3e38), norm=sublayer_uncentered_primer_norm)
    assert all(np.isfinite(value).all() for value in values)


def test_d_model_may_be_split():
    x = RNG.standard_normal([4, 32])
    for a, e in zip(run(x, mesh_shape="rows:2", layout="d_model:rows"), run(x)):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)


def test_ordinary_bfloat16_rows():
    """Means of 0 to 8 with spreads of 0.01 to 1: the original's is NaN for one in sixteen."""
    means, spreads = RNG.uniform(0, 8, [500, 1]), 10 ** RNG.uniform(-2, 0, [500, 1])
    x, y, dx = run(means + spreads * RNG.standard_normal([500, 64]), tf.bfloat16)
    assert np.isfinite(dx).all()
    np.testing.assert_allclose(y, oracle(x), atol=0.02, rtol=0.01)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float32], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("value", [0.0, 1.0, -7.3, 1e-30, 1e4, 1e10, 1e30, 3.3e38, -3.3e38])
def test_extreme_rows_are_finite(value, dtype):
    """Constant rows, rows of one sign, of both signs, and with one outlier."""
    nearly = value * (1 + 1e-6 * RNG.standard_normal(64))
    both = value * np.sign(RNG.standard_normal(64))
    x = np.stack(
        [np.full(64, value), np.clip(nearly, -3.3e38, 3.3e38), both, np.eye(64)[3] * value]
    )
    _, y, dx = run(x, dtype)
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


def test_infinite_rows_are_finite():
    x = np.zeros([2, 8])
    x[0, 3], x[1] = np.inf, -np.inf
    assert np.isfinite(run(x)[1]).all()
