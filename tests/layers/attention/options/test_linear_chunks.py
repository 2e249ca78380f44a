"""The chunks of linear attention: every length of chunks, gradients, causality, meshes, cost."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers.attention.options import linear_chunks
from tests.layers import helpers, single_layer
from tests.layers.attention.options.linear_helpers import SETTINGS, Layer, output

X = np.random.default_rng(0).standard_normal([2, 12, 32]).astype(np.float32)
IDS = np.array([[1] * 5 + [2] * 7, [1] * 1 + [2] * 6 + [3] * 4 + [0] * 1])


@pytest.mark.parametrize("chunk_length", [2, 3, 5, 6, 11, 12])
@pytest.mark.parametrize("ids", [None, IDS], ids=["one", "packed"])
def test_every_chunk_length_gives_the_equation(chunk_length, ids):
    layer = Layer(chunk_length)
    values = single_layer.random_variables(layer)
    y = single_layer.run(layer, values, X, ids)["y"]
    np.testing.assert_allclose(y, output(values, X, ids), rtol=0, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS[:3], ids=str)
@pytest.mark.parametrize("chunk_length", [5, 12])
def test_gradients(chunk_length, settings):
    """Those of TensorFlow for the equation with a matrix of all weights."""
    layer = Layer(chunk_length, **settings)
    values = single_layer.random_variables(layer)
    weights = np.random.default_rng(1).standard_normal(X.shape).astype(np.float32)
    found = single_layer.run(layer, values, X, IDS, "train", weights)
    seen = np.tril(IDS[:, :, None] == IDS[:, None, :])[:, None].astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(X)
        tensors = {name: tf.constant(value) for name, value in values.items()}

        def heads(name):
            projection = tf.reshape(x @ tensors[name], [2, 12, -1, 8])
            return tf.repeat(projection, 4 // projection.shape[2], 2)

        w = seen * tf.einsum("blhd,bmhd->bhlm", tf.nn.softmax(heads("q")), tf.exp(heads("k")))
        w /= tf.reduce_sum(w, -1, keepdims=True)
        y = tf.reshape(tf.einsum("bhlm,bmhd->blhd", w, heads("v")), [2, 12, 32]) @ tensors["o"]
        sources = {"d x": x, **{f"d {name}": tensor for name, tensor in tensors.items()}}
        gradients = tf.gradients(tf.reduce_sum(y * weights), list(sources.values()))
        expected = session.run(dict(zip(sources, gradients)))
    assert set(found) == {"y", *expected}
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("chunk_length", [4, 12])
def test_no_position_sees_its_future(chunk_length):
    """Not in a single bit, although the positions of a chunk are computed together."""
    layer = Layer(chunk_length)
    single_layer.check_causal(layer, single_layer.random_variables(layer), X, 6)


@pytest.mark.parametrize(
    "mesh",
    [
        ("columns:2", "heads:columns"),
        ("rows:2,columns:2", "batch:rows,heads:columns"),
        ("rows:2,columns:2", "batch:rows,length:columns"),
        ("columns:4", "length:columns"),
    ],
)
@pytest.mark.parametrize("settings", SETTINGS[:2], ids=str)
def test_meshes(settings, mesh):
    layer = Layer(3, **settings)
    single_layer.check_mesh(layer, single_layer.random_variables(layer), X, IDS, *mesh)


def test_chunks_that_cross_processors_raise_an_error():
    with helpers.bench() as b:
        context = single_layer.context_of(b, b.put(X, *single_layer.NAMES))
        context.model.layout, context.model.mesh_shape = "length:columns", "columns:4"
        key_dim = mtf.Dimension("d_kv", 8)
        with pytest.raises(ValueError, match="chunks of 4: the length 12 is split over 4"):
            linear_chunks.Chunks(context, key_dim, 4)
        linear_chunks.Chunks(context, key_dim)


def test_the_cost_is_linear_in_the_length():
    """The elements of all tensors of the forward and backward pass double with the length."""

    def elements(length):
        with helpers.bench() as b:
            x = b.put(np.ones([1, length, 32], np.float32), *single_layer.NAMES)
            context = single_layer.context_of(b, x, "train")
            y = Layer().call(context, x)
            mtf.gradients([mtf.reduce_sum(y)], [v.value for v in b.graph.trainable_variables])
            sizes = [t.size for op in b.graph.operations for t in op.outputs]
            assert max(sizes) < length**2
            return sum(sizes)

    assert elements(2048) / elements(1024) < 2.1


@pytest.mark.parametrize(
    "length, splits, expected",
    [(1, 1, 1), (64, 1, 64), (127, 1, 127), (512, 1, 64), (2048, 1, 64), (65536, 1, 256)]
    + [(512, 4, 64), (12, 4, 3), (600, 2, 75), (394, 2, 197)],
)
def test_automatic_chunk_length(length, splits, expected):
    assert linear_chunks.automatic_chunk_length(length, splits) == expected
    assert splits == 1 or (length // splits) % expected == 0
