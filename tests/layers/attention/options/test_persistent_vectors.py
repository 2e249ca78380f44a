"""Persistent vectors in an attention layer: the equation, and every mode and mesh."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer_layers

from primer.layers import MultiHeadAttention
from primer.layers.attention import kv_cache
from primer.layers.attention.options import persistent_vectors
from primer.layers.attention.windows import windowed_blocks
from tests.layers import helpers, single_layer

DRAW = np.random.default_rng(0)
X = DRAW.standard_normal([2, 8, 32]).astype(np.float32)
NUM = 3


class Layer(transformer_layers.SelfAttention):
    """SelfAttention with persistent vectors."""

    def call(self, context, x, losses=None):
        params = self.make_params(context)
        q, keys_values = params.compute_q(x), kv_cache.project_keys_values(params, x)
        keys_values, position = kv_cache.update(self, context, keys_values)
        bias = self.compute_bias(context, position, x, params.query_heads_dims, q)
        memory, heads = self.memory_length(context), params.memory_heads_dims
        keys_values, memory, bias = persistent_vectors.extend(
            context, heads, keys_values, memory, bias, NUM
        )
        k, v, key = keys_values[0], keys_values[-1], self.kv_dim
        o = self.attention_fn(q, k, v, memory, key, key, bias=bias, context=context)
        return params.compute_output(o, output_shape=x.shape)


def layer(**settings):
    return Layer(num_heads=4, key_value_size=8, **settings)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def expected(values, x):
    """Attention without heads of less than all keys, from the equation."""

    def heads(name):  # [batch, length, heads, d_kv]
        return (x @ values[name]).reshape(*x.shape[:2], 4, 8)

    def extended(name, vectors, scale):
        own = values[vectors].transpose(1, 0, 2)[None] * scale**0.5
        return np.concatenate([own.repeat(len(x), 0), heads(name)], 1)

    k = extended("k", "persistent_keys", 8)
    v = extended("v", "persistent_values", NUM)
    logits = np.einsum("blhd,bmhd->bhlm", heads("q"), k)
    length = x.shape[1]
    hidden = np.arange(length + NUM) - NUM > np.arange(length)[:, None]
    weights = softmax(np.where(hidden, -1e9, logits))
    o = np.einsum("bhlm,bmhd->blhd", weights, v)
    return o.reshape(*x.shape[:2], 32) @ values["o"]


def test_equation():
    values = single_layer.random_variables(layer())
    assert values["persistent_keys"].shape == (4, NUM, 8)
    y = single_layer.run(layer(), values, X)["y"]
    np.testing.assert_allclose(y, expected(values, X), rtol=0, atol=1e-5)


def test_lengths_fit():
    """In GPT-Neo, keys are longer than the bias and the dimension of the keys, an error."""
    with helpers.bench() as b:
        context = single_layer.context_of(b, b.put(X, *single_layer.NAMES))
        k = b.put(np.zeros([2, 8, 4, 8], np.float32), "batch", "memory_length", "heads", "d_kv")
        bias = b.put(np.ones([8, 8], np.float32), "length", "memory_length")
        _, memory, heads, _ = k.shape.dims
        keys_values, longer, bias = persistent_vectors.extend(
            context, [heads], [k, k], memory, bias, NUM
        )
        assert longer == mtf.Dimension("memory_length", 8 + NUM)
        assert all(longer in t.shape.dims for t in [*keys_values, bias])
        values = b.run({"bias": bias})["bias"]
    np.testing.assert_array_equal(values, np.pad(np.ones([8, 8]), [[0, 0], [NUM, 0]]))


@pytest.mark.parametrize("shared", [False, True])
def test_initial_vectors_have_the_variance_of_projections(shared):
    with helpers.bench() as b:
        context = single_layer.context_of(b, b.put(X, *single_layer.NAMES))
        k = b.put(np.zeros([2, 8, 16, 64], np.float32), "batch", "memory", "heads", "d_kv")
        _, memory, heads, _ = k.shape.dims
        found, *_ = persistent_vectors.extend(
            context, [heads], [k] * (2 - shared), memory, None, 20
        )
        assert len(found) == 2 - shared
        values = b.run(dict(enumerate(found)))
        names = {v.op.name for v in tf.global_variables()}
    names = {name.removeprefix("persistent_") for name in names}
    assert names == ({"keys_values"} if shared else {"keys", "values"})
    for value in values.values():
        assert value[:, 20:].std() == 0
        assert abs(value[:, :20].std() - 1) < 0.02


def test_no_vectors_change_nothing():
    given = (["keys"], "memory_dim", "bias")
    assert persistent_vectors.extend(None, [], *given, 0) == given


SETTINGS = [
    {},
    {"relative_attention_type": "bias_shared"},
    {"num_memory_heads": 2},
    {"num_memory_heads": 1},
    {"shared_kv": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_mode(settings):
    values = single_layer.random_variables(layer(**settings))
    single_layer.check_decoding(layer(**settings), values, X, [3, 6])
    single_layer.check_causal(layer(**settings), values, X, 4)


def test_packed_texts_see_the_same_vectors():
    ids = np.array([[1] * 3 + [2] * 5, [1] * 2 + [2] * 3 + [3] * 2 + [0]])
    single_layer.check_packing(layer(), single_layer.random_variables(layer()), X, ids)


@pytest.mark.parametrize(
    "mesh",
    [
        ("columns:2", "heads:columns"),
        ("rows:2,columns:2", "batch:rows,heads:columns"),
        ("rows:2,columns:2", "batch:rows,length:columns"),
    ],
)
@pytest.mark.parametrize("settings", SETTINGS[:3], ids=str)
def test_meshes(settings, mesh):
    values = single_layer.random_variables(layer(**settings))
    single_layer.check_mesh(layer(**settings), values, X, np.ones([2, 8], int), *mesh)


def test_a_split_dimension_of_keys_raises_an_error():
    with helpers.bench() as b:
        context = single_layer.context_of(b, b.put(X, *single_layer.NAMES))
        context.model.layout, context.model.mesh_shape = "memory_length:columns", "columns:2"
        memory = mtf.Dimension("memory_length", 8)
        with pytest.raises(ValueError, match="splits memory_length over 2 .* split batch, heads"):
            persistent_vectors.extend(context, [], [None], memory, None, NUM)


def test_a_split_dimension_of_keys_raises_an_error_with_a_z_loss_too():
    with helpers.bench() as b:
        x = b.put(X, *single_layer.NAMES)
        context = single_layer.context_of(b, x, "train")
        context.model.layout, context.model.mesh_shape = "memory_length:columns", "columns:2"
        settings = {"num_persistent_vectors": NUM, "z_loss_coeff": 0.1}
        attention = MultiHeadAttention(num_heads=4, key_value_size=8, **settings)
        with pytest.raises(ValueError, match="splits memory_length over 2"):
            attention.call(context, x)


def test_blocks_of_windowed_attention():
    """Every block has the vectors before its own keys and those of its halo."""
    with helpers.bench() as b:
        context = single_layer.context_of(b, b.put(X, *single_layer.NAMES))
        blocks = windowed_blocks.Blocks(context.length_dim, 4, 3)
        k = b.put(DRAW.standard_normal([2, 8, 8]).astype(np.float32), "batch", "length", "d_kv")
        k = blocks.split_memory(k)  # [batch, blocks, memory_block_length, d_kv]
        (longer,), memory, _ = persistent_vectors.extend(
            context, [], [k], blocks.memory_dim, None, NUM
        )
        values = b.run({"k": k, "longer": longer})
    assert memory == mtf.Dimension("memory_block_length", blocks.memory_dim.size + NUM)
    np.testing.assert_array_equal(values["longer"][:, :, NUM:], values["k"])
    vectors = values["longer"][:, :, :NUM]
    np.testing.assert_array_equal(vectors, np.broadcast_to(vectors[:1, :1], vectors.shape))


def test_members_of_an_ensemble_have_their_own_vectors():
    member = mtf.Dimension("ensemble", 2)
    with helpers.bench() as b:
        context = single_layer.context_of(b, b.put(X, *single_layer.NAMES))
        context.model.ensemble_dims = [member]
        k = b.put(np.zeros([2, 8, 8], np.float32), "ensemble", "memory_length", "d_kv")
        (longer,), *_ = persistent_vectors.extend(context, [], [k], k.shape.dims[1], None, NUM)
        values = b.run({"k": longer})["k"]
    assert np.abs(values[0, :NUM] - values[1, :NUM]).min() > 0


@pytest.mark.parametrize("number", [-1, 1.5, None, True])
def test_invalid_numbers(number):
    message = f"MultiHeadAttention.num_persistent_vectors = {number}: expected a whole number of 0"
    with pytest.raises(ValueError, match=message):
        persistent_vectors.check(number)
    persistent_vectors.check(0)
