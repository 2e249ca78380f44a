"""Rotary positions against the equation and rotary-embedding-torch; shapes, types and meshes."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers.attention.options import rotary
from tests.layers import helpers

NAMES = ("batch", "length", "heads", "d_kv")
X = np.random.default_rng(0).standard_normal([2, 4, 2, 8]).astype(np.float32)
PACKED = np.array([[0, 1, 2, 3], [0, 1, 0, 1]], np.int32)


def rotated(x, position, base=10000.0, fraction=1.0):
    """The equation with complex numbers; positions `[batch, length]`."""
    channels = round(fraction * x.shape[-1])
    half = channels // 2
    angle = position[..., None, None] * base ** (-2 * np.arange(half) / channels)
    z = (x[..., :half] + 1j * x[..., half:channels]) * np.exp(1j * angle)
    return np.concatenate([z.real, z.imag, x[..., channels:]], -1)


def run(
    x, position, position_names, names=NAMES, dtype=tf.float32, weights=None, mesh=(), **kwargs
):
    """Returns y, and with weights also d sum(y * weights) / d x."""
    with helpers.bench(*mesh) as b:
        x = mtf.cast(b.put(x, *names), dtype)
        position = b.put(np.asarray(position, np.int32), *position_names)
        y = rotary.rotate(x, position, mtf.Dimension("d_kv", 8), **kwargs)
        assert y.shape == x.shape and y.dtype == dtype
        outputs = {"y": y}
        if weights is not None:
            loss = mtf.reduce_sum(y * b.put(weights, *names))
            (outputs["dx"],) = mtf.gradients([loss], [x])
        return b.run({k: mtf.cast(t, tf.float32) for k, t in outputs.items()})


@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("base", [10000.0, 100.0])
def test_equation(fraction, base):
    y = run(X, PACKED, NAMES[:2], fraction=fraction, base=base)["y"]
    np.testing.assert_allclose(y, rotated(X, PACKED, base, fraction), rtol=0, atol=1e-6)


def test_positions_without_batch():
    y = run(X, np.arange(4) + 9, ["length"])["y"]
    np.testing.assert_allclose(y, rotated(X, np.arange(4)[None] + 9), rtol=0, atol=1e-6)


def test_one_position_per_row():
    y = run(X[:, 0], [3, 7], ["batch"], ("batch", "heads", "d_kv"))["y"]
    expected = rotated(X[:, :1], np.array([[3], [7]]))[:, 0]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


def test_any_order_of_the_dimensions():
    """The keys' channels may be anywhere, and positions may have the length before the batch."""
    order = ("d_kv", "batch", "heads", "length")
    y = run(X.transpose(3, 0, 2, 1), PACKED.T, ("length", "batch"), order)["y"]
    expected = rotated(X, PACKED).transpose(3, 0, 2, 1)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


def test_rotary_embedding_torch():
    """Four of six channels, base 100, positions 3 and 4, of PyPI's rotary-embedding-torch 0.9.1.

    Its pairs are neighbors: channels 0, 2, 1, 3 there are 0, 1, 2, 3 here.
    """
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 1, 6) / 10 - 0.4
    with helpers.bench() as b:
        position = b.put(np.array([3, 4], np.int32), "length")
        y = rotary.rotate(b.put(x, *NAMES), position, mtf.Dimension("d_kv", 6), 100.0, 2 / 3)
        y = b.run({"y": y})["y"]
    expected = [
        [0.424221, -0.25704896, 0.14155051, -0.18418972, 0.0, 0.1],
        [0.17199227, 0.08160913, -0.41281796, 0.577356, 0.6, 0.7],
    ]
    np.testing.assert_allclose(y[0, :, 0], expected, rtol=0, atol=1e-6)


def test_products_depend_on_the_distance_alone():
    q, k = X[:1], X[1:]
    here, there = (
        np.einsum("blhd,bmhd->bhlm", *(run(x, np.arange(4) + at, ["length"])["y"] for x in (q, k)))
        for at in (0, 1000)
    )
    np.testing.assert_allclose(here, there, rtol=0, atol=2e-3)
    assert np.abs(here - np.einsum("blhd,bmhd->bhlm", q, k)).max() > 0.1


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_gradient(fraction):
    """Rotation is linear in x and keeps products: the gradient is the rotation by -p."""
    weights = np.random.default_rng(1).standard_normal(X.shape).astype(np.float32)
    dx = run(X, PACKED, NAMES[:2], weights=weights, fraction=fraction)["dx"]
    expected = rotated(weights, -PACKED, fraction=fraction)
    np.testing.assert_allclose(dx, expected, rtol=0, atol=1e-6)


def test_bfloat16_channels_have_float32_angles():
    """In bfloat16, position 1001 is 1000: an error of a radian in the first channel."""
    x = X.astype(tf.bfloat16.as_numpy_dtype).astype(np.float32)
    y = run(x, np.arange(4) + 1001, ["length"], dtype=tf.bfloat16)["y"]
    expected = rotated(x, np.arange(4)[None] + 1001)
    np.testing.assert_allclose(y, expected, rtol=2**-8, atol=1e-3)


@pytest.mark.parametrize(
    "mesh",
    [
        ("columns:2", "heads:columns"),
        ("rows:2,columns:2", "batch:rows,heads:columns"),
        ("rows:2,columns:2", "batch:rows,length:columns"),
    ],
)
def test_meshes(mesh):
    weights = np.random.default_rng(1).standard_normal(X.shape).astype(np.float32)
    expected = run(X, PACKED, NAMES[:2], weights=weights)
    values = run(X, PACKED, NAMES[:2], weights=weights, mesh=mesh)
    for key, value in expected.items():
        np.testing.assert_allclose(values[key], value, rtol=0, atol=1e-6)


def test_split_channels_raise_an_error():
    with pytest.raises(ValueError, match="the layout splits d_kv over the mesh.*split heads"):
        run(X, PACKED, NAMES[:2], mesh=("columns:2", "d_kv:columns"))


@pytest.mark.parametrize(
    "d_kv, base, fraction, message",
    [
        (8, 0.0, 1.0, "MultiHeadAttention.rotary_base = 0.0: expected a number above 0"),
        (8, None, 1.0, "MultiHeadAttention.rotary_base = None"),
        (8, 1e4, 0.0, "MultiHeadAttention.rotary_fraction = 0.0: .* above 0 and at most 1"),
        (8, 1e4, 1.5, "MultiHeadAttention.rotary_fraction = 1.5: .* above 0 and at most 1"),
        (8, 1e4, 0.3, "rotary_fraction = 0.3: of d_kv = 8 channels, 2.4 would rotate; .* 0.5;"),
        (8, 1e4, 0.125, "of d_kv = 8 channels, 1 would rotate; expected an even whole number"),
        (7, 1e4, 1.0, "of d_kv = 7 channels, 7 would rotate; expected an even whole number"),
    ],
)
def test_invalid_settings(d_kv, base, fraction, message):
    with pytest.raises(ValueError, match=message):
        rotary.check(d_kv, base, fraction)


@pytest.mark.parametrize("d_kv, fraction", [(8, 1), (64, 0.25), (6, 2 / 3), (80, 0.4)])
def test_valid_settings(d_kv, fraction):
    rotary.check(d_kv, 10000, fraction)
