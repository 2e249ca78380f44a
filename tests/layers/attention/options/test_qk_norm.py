"""The norm of queries and keys against the equation; its variable, types, meshes, ensembles."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers.attention.options import qk_norm
from tests.layers import helpers

NAMES = ("batch", "length", "heads", "d_kv")
KEY_DIM = mtf.Dimension("d_kv", 8)
X = 3 * np.random.default_rng(0).standard_normal([2, 4, 2, 8]).astype(np.float32)
SCALE = np.linspace(0.5, 2, 8).astype(np.float32)


def rms(x, scale, epsilon=1e-6):
    return scale * x / np.sqrt(np.mean(np.square(x), -1, keepdims=True) + epsilon)


def run(x, kind, names=NAMES, epsilon=1e-6, dtype=tf.float32, mesh=(), weights=None, ensemble=()):
    """Returns y, with weights also the gradients of sum(y * weights)."""
    variables = {"q_norm/scale": SCALE} if kind == "rms" else {}
    if ensemble:
        variables["q_norm/scale"] = np.stack([SCALE, 2 * SCALE])
    with helpers.bench(*mesh, variables=variables) as b:
        x = mtf.cast(b.put(x, *names), dtype)
        context = helpers.layer_context(b, mtf.zeros(b.mesh, x.shape.dims[:2] + [KEY_DIM], dtype))
        context.model.ensemble_dims = list(ensemble)
        y = qk_norm.normalize(context, x, KEY_DIM, kind, epsilon, "q_norm")
        assert y.shape == x.shape and y.dtype == dtype
        outputs = {"y": y}
        if weights is not None:
            loss = mtf.reduce_sum(y * b.put(weights, *names))
            sources = {"dx": x, **{"d " + v.name: v.value for v in b.graph.trainable_variables}}
            outputs.update(zip(sources, mtf.gradients([loss], list(sources.values()))))
        return b.run({k: mtf.cast(t, tf.float32) for k, t in outputs.items()})


@pytest.mark.parametrize("epsilon", [1e-6, 1.0])
@pytest.mark.parametrize("kind", ["rms", "rms_unscaled"])
def test_equation(kind, epsilon):
    y = run(X, kind, epsilon=epsilon)["y"]
    expected = rms(X, SCALE if kind == "rms" else 1, epsilon)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_one_position():
    y = run(X[:, 0], "rms", ("batch", "heads", "d_kv"))["y"]
    np.testing.assert_allclose(y, rms(X[:, 0], SCALE), rtol=1e-5, atol=1e-6)


def test_no_norm_is_the_identity():
    np.testing.assert_array_equal(run(X, None)["y"], X)


def test_the_scale_starts_at_one():
    with helpers.bench() as b:
        context = helpers.layer_context(b, b.put(X[:, :, 0], "batch", "length", "d_kv"))
        y = qk_norm.normalize(context, b.put(X, *NAMES), KEY_DIM, "rms", 1e-6, "k_norm")
        assert [v.op.name for v in tf.global_variables()] == ["k_norm/scale"]
        np.testing.assert_allclose(b.run({"y": y})["y"], rms(X, 1), rtol=1e-5, atol=1e-6)


def test_bfloat16_squares_are_float32():
    """The result has one rounding: that of the output."""
    x = X.astype(tf.bfloat16.as_numpy_dtype).astype(np.float32)
    y = run(x, "rms_unscaled", dtype=tf.bfloat16)["y"]
    expected = rms(x, 1).astype(tf.bfloat16.as_numpy_dtype).astype(np.float32)
    assert np.mean(y == expected) > 0.99
    np.testing.assert_allclose(y, expected, rtol=2**-7)


def test_members_of_an_ensemble_have_their_own_scale():
    member = mtf.Dimension("ensemble", 2)
    y = run(X, "rms", ("ensemble", "length", "heads", "d_kv"), ensemble=[member])["y"]
    np.testing.assert_allclose(y[1], 2 * rms(X[1], SCALE), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "mesh",
    [
        ("columns:2", "heads:columns"),
        ("rows:2,columns:2", "batch:rows,length:columns"),
        ("columns:2", "d_kv:columns"),
    ],
)
def test_meshes(mesh):
    weights = np.random.default_rng(1).standard_normal(X.shape).astype(np.float32)
    expected = run(X, "rms", weights=weights)
    values = run(X, "rms", mesh=mesh, weights=weights)
    assert set(values) == {"y", "dx", "d q_norm/scale"}
    for key, value in expected.items():
        np.testing.assert_allclose(values[key], value, rtol=1e-5, atol=1e-5)


def test_unknown_kind():
    with pytest.raises(ValueError, match="MultiHeadAttention.qk_norm = 'l2': expected one of None"):
        qk_norm.check("l2")
    for kind in qk_norm.KINDS:
        qk_norm.check(kind)
