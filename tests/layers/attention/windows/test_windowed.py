"""Windowed self-attention against its equation and against Mesh-TF's masked SelfAttention."""

import math

import gin
import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer_layers

from primer.layers.attention.windows.windowed import WindowedSelfAttention
from tests.layers.attention.windows.windowed_helpers import (
    PARTS,
    X,
    assert_equal,
    layer_settings,
    random_variables,
    run,
)

BLOCK_LENGTHS = (2, 5, None)


class MaskedSelfAttention(transformer_layers.SelfAttention):
    """Mesh-TF's layer with Mesh-TF's mask of a window."""

    def __init__(self, radius, **kwargs):
        super().__init__(**kwargs)
        self.radius = radius

    def min_relative_position(self, context):
        return 1 - self.radius


def bucket(distance, num_buckets=32, max_distance=128):
    """Returns T5's bucket of a distance: exact for half of the buckets, then logarithmic."""
    exact = num_buckets // 2
    if distance < exact:
        return distance
    far = math.log(distance / exact) / math.log(max_distance / exact) * (num_buckets - exact)
    return min(exact + int(far), num_buckets - 1)


def windowed_attention(x, variables, radius, parts):
    """Computes the equation per query and head: `[batch, length, d_model]` in and out."""
    q, k, v = (x @ variables[f"layer/{n}"] for n in "qkv")
    y = np.zeros_like(q)
    for row, p, head in np.ndindex(x.shape[0], x.shape[1], 4):
        ts = [t for t in range(max(0, p - radius + 1), p + 1) if parts[row, t] == parts[row, p]]
        channels = slice(8 * head, 8 * head + 8)
        bias = variables["layer/relative_attention_bias"][head]
        logits = [q[row, p, channels] @ k[row, t, channels] + bias[bucket(p - t)] for t in ts]
        weights = np.exp(logits) / np.exp(logits).sum()
        y[row, p, channels] = weights @ v[row, ts, channels]
    return y @ variables["layer/o"]


@pytest.mark.parametrize("parts", [np.ones_like(PARTS), PARTS], ids=["whole", "packed"])
def test_equation(parts):
    """Every radius, in blocks shorter and longer than the window, and masked."""
    variables = random_variables()
    cases = [(r, b) for r in (1, 3, 6, 40) for b in BLOCK_LENGTHS]
    layers = {c: WindowedSelfAttention(*c, **layer_settings()) for c in cases}
    values = run(layers, X, parts, variables, mode="eval")
    for radius in (1, 3, 6, 40):
        expected = windowed_attention(X, variables, radius, parts)
        for block_length in BLOCK_LENGTHS:
            y = values[radius, block_length]["y"]
            np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5)


def test_equation_at_distances_beyond_the_exact_buckets():
    """More than 16 positions back, buckets hold several distances."""
    x = np.random.default_rng(3).standard_normal([1, 150, 16]).astype(np.float32)
    variables, parts = random_variables(), np.ones([1, 150])
    layers = {b: WindowedSelfAttention(70, b, **layer_settings()) for b in (32, 150)}
    expected = windowed_attention(x, variables, 70, parts)
    for value in run(layers, x, variables=variables, mode="eval").values():
        np.testing.assert_allclose(value["y"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_memory_heads": 1},
        {"num_memory_heads": 2},
        {"num_heads": 1},
        {"shared_kv": True},
        {"combine_dims": False, "fold_scaling_into_initializer": False},
        {"relative_attention_type": None},
        {"relative_attention_type": "bias_shared", "relative_attention_num_buckets": 8},
        {"relative_attention_type": "contextual"},
        {"attention_kwargs": {"extra_logit": 0.0}},
        {"z_loss_coeff": 0.5},
    ],
    ids=str,
)
def test_outputs_and_gradients_are_those_of_a_masked_self_attention(settings):
    settings = layer_settings(**settings)
    layers = {
        "mesh_tf": MaskedSelfAttention(6, **settings),
        "masked": WindowedSelfAttention(6, 13, **settings),
        "blocks": WindowedSelfAttention(6, 4, **settings),
    }
    values = run(layers, parts=PARTS)
    for value in values.values():
        assert_equal(value, values["mesh_tf"])


def test_z_loss_of_unpacked_examples():
    """Mesh-TF's fails there; the padding of the last block must not lower the mean."""
    settings = layer_settings(z_loss_coeff=0.5)
    layers = {b: WindowedSelfAttention(6, b, **settings) for b in (13, 4)}
    layers["none"] = WindowedSelfAttention(6, 4, **layer_settings())
    values = run(layers)
    assert_equal(values[4], values[13])
    assert values[4]["loss"] > values["none"]["loss"] + 0.1


def test_more_batch_dimensions():
    x = np.stack([X, X[:, ::-1]])
    layer = WindowedSelfAttention(3, 4, **layer_settings())
    variables = random_variables()
    y = run({"": layer}, x, variables=variables, mode="eval")[""]["y"]
    for i in range(2):
        one = run({"": layer}, x[i], variables=variables, mode="eval")[""]["y"]
        np.testing.assert_allclose(y[i], one, rtol=0, atol=1e-6)


def test_dropout_in_blocks():
    """Radius 1: the weight of a position is dropped or doubled, independently in each block."""
    settings = layer_settings(dropout_rate=0.5, num_heads=1)
    layers = {
        "dropped": WindowedSelfAttention(1, 4, **settings),
        "plain": WindowedSelfAttention(1, 4, **layer_settings(num_heads=1)),
    }
    x = np.random.default_rng(0).standard_normal([2, 64, 16]).astype(np.float32)
    values = run(layers, x)
    ratio = (values["dropped"]["y"] / values["plain"]["y"]).mean(-1).reshape(2, 16, 4)
    np.testing.assert_allclose(np.minimum(np.abs(ratio), np.abs(ratio - 2)), 0, atol=1e-3)
    assert 30 < (ratio > 1).sum() < 98
    assert len(np.unique(ratio[0] > 1, axis=0)) > 2


@pytest.mark.parametrize("block_length", [3, 13])
def test_packed_examples_equal_their_segments(block_length):
    """Outputs, loss and gradients; segments shorter and longer than the window."""
    layers = {"": WindowedSelfAttention(3, block_length, **layer_settings())}
    lengths, alone = [2, 6, 5], np.zeros([3, 13, 16], np.float32)
    slices = [(i, n, sum(lengths[:i])) for i, n in enumerate(lengths)]
    for i, n, start in slices:
        alone[i, :n] = X[0, start : start + n]
    variables, ids = random_variables(), np.repeat([1, 2, 3], lengths)
    packed = run(layers, X[:1], ids[None], variables)[""]
    parts = run(layers, alone, (alone != 0).any(-1), variables)[""]
    for key in ("y", "x"):
        together, apart = packed.pop(key), parts.pop(key)
        for i, n, start in slices:
            part = together[0, start : start + n]
            np.testing.assert_allclose(part, apart[i, :n], rtol=0, atol=1e-5)
    assert_equal(packed, parts)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"radius": 0}, "WindowedSelfAttention.radius = 0: expected how many keys"),
        ({"radius": 1.5}, "WindowedSelfAttention.radius = 1.5: expected how many keys"),
        ({"radius": True}, "WindowedSelfAttention.radius = True: expected how many keys"),
        (
            {"block_length": 0},
            "WindowedSelfAttention.block_length = 0: expected positions per block",
        ),
        ({"use_hyperprompt": True}, "WindowedSelfAttention.use_hyperprompt = True"),
        ({"hyperprompt_length_decoder": 4}, "WindowedSelfAttention.use_hyperprompt = False"),
        ({"attention_func": "hybrid"}, "WindowedSelfAttention.attention_func = 'hybrid'"),
    ],
    ids=str,
)
def test_invalid_settings_raise_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        WindowedSelfAttention(**settings)


def test_gin_binds_settings_of_self_attention():
    gin.parse_config(["SelfAttention.num_heads = 3", "WindowedSelfAttention.radius = 5"])
    layer = WindowedSelfAttention()
    assert (layer.num_heads, layer.radius) == (3, 5)
