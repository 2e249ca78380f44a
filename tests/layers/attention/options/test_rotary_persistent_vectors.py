"""Persistent vectors with rotary positions: the product with a query has no position."""

import numpy as np
import pytest

from primer.layers import MultiHeadAttention
from tests.layers import single_layer
from tests.layers.attention.options.test_persistent_vectors import NUM, X, softmax
from tests.layers.attention.options.test_rotary import rotated

FRACTIONS = pytest.mark.parametrize("fraction", [1.0, 0.5])
SETTINGS = pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rotary_fraction": 0.5, "num_memory_heads": 1, "logit_cap": 2.0},
        {"kind": "local", "window": 3, "block_length": 2, "qk_norm": "rms"},
    ],
    ids=str,
)
IDS = np.array([[1] * 3 + [2] * 5, [1] * 2 + [2] * 3 + [3] * 2 + [0]])


def layer(**settings):
    rotary = {"positions": "rotary", "num_persistent_vectors": NUM}
    return MultiHeadAttention(num_heads=4, key_value_size=8, **rotary, **settings)


def expected(values, x, fraction, scale):
    """Attention from the equation: only products of two positions have rotated factors."""
    q, k, v = ((x @ values[name]).reshape(*x.shape[:2], 4, 8) for name in "qkv")
    position = np.arange(x.shape[1])[None]
    turned = [rotated(t, position, fraction=fraction) for t in (q, k)]
    vectors = values["persistent_keys"] * 8**0.5  # [heads, persistent, d_kv]
    logits = np.concatenate(
        [np.einsum("blhd,hnd->bhln", q, vectors), np.einsum("blhd,bmhd->bhlm", *turned)], -1
    )
    index = np.arange(x.shape[1] + NUM) - NUM
    weights = softmax(np.where(index > position[0][:, None], -1e9, logits * scale))
    own = values["persistent_values"].transpose(1, 0, 2)[None] * NUM**0.5
    v = np.concatenate([own.repeat(len(x), 0), v], 1)
    return np.einsum("bhlm,bmhd->blhd", weights, v).reshape(*x.shape[:2], 32) @ values["o"]


@FRACTIONS
@pytest.mark.parametrize("scale", [None, 0.5])
def test_equation(fraction, scale):
    own = layer(rotary_fraction=fraction, scale=scale)
    values = single_layer.random_variables(own)
    y = single_layer.run(own, values, X)["y"]
    np.testing.assert_allclose(y, expected(values, X, fraction, scale or 1.0), rtol=0, atol=1e-5)


@SETTINGS
def test_a_packed_text_does_not_depend_on_its_place(settings):
    values = single_layer.random_variables(layer(**settings))
    single_layer.check_packing(layer(**settings), values, X, IDS)


@SETTINGS
def test_decoding(settings):
    values = single_layer.random_variables(layer(**settings))
    single_layer.check_decoding(layer(**settings), values, X, [3, 6])


@pytest.mark.parametrize(
    "mesh",
    [
        ("columns:2", "heads:columns"),
        pytest.param(("rows:2,columns:2", "batch:rows,length:columns"), marks=pytest.mark.slow),
    ],
)
def test_meshes(mesh):
    values = single_layer.random_variables(layer(rotary_fraction=0.5))
    single_layer.check_mesh(layer(rotary_fraction=0.5), values, X, IDS, *mesh)
