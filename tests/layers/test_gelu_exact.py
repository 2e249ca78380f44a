"""The exact GELU and its gradient."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from scipy import stats

from primer.layers import gelu_exact
from tests.layers import helpers

X = np.linspace(-6, 6, 97, dtype=np.float32)


def values_of(function, dtype=tf.float32):
    """Returns function(X) and the derivative of its sum of squares."""
    with helpers.bench() as b:
        xs = mtf.cast(b.put(X, "d_ff"), dtype)
        y = function(xs)
        (dx,) = mtf.gradients([mtf.reduce_sum(y * y)], [xs])
        return b.run({"y": mtf.cast(y, tf.float32), "dx": mtf.cast(dx, tf.float32)})


def test_value_and_gradient():
    values = values_of(gelu_exact.gelu_exact)
    y = X * stats.norm.cdf(X)
    np.testing.assert_allclose(values["y"], y, rtol=1e-5, atol=1e-6)
    slope = stats.norm.cdf(X) + X * stats.norm.pdf(X)
    np.testing.assert_allclose(values["dx"], 2 * y * slope, rtol=1e-5, atol=1e-6)


def test_it_is_not_the_tanh_form():
    """Mesh-TF's function differs by up to 5e-4, and no more."""
    difference = np.abs(values_of(gelu_exact.gelu_exact)["y"] - values_of(mtf.gelu)["y"]).max()
    assert 4e-4 < difference < 6e-4


def test_bfloat16_is_close_to_float32():
    values = values_of(gelu_exact.gelu_exact, tf.bfloat16)
    np.testing.assert_allclose(values["y"], X * stats.norm.cdf(X), rtol=0.02, atol=0.02)
