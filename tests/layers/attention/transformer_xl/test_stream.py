"""Vectors of the distance to the row's end, added to the stream and to its memory."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers import MultiHeadAttention, ParallelLayerStack, PostNormLayerStack
from primer.layers.attention.transformer_xl import stream
from tests.layers import helpers, single_layer
from tests.layers.stacks import stack_helpers

ROWS = 4  # Of the learned table: fewer than positions.
IDS = np.array([[1, 1, 2, 2, 2], [1, 1, 1, 1, 0]])
X = stack_helpers.X  # [2, 5, 8]


def layer_of(positions, **settings):
    layer = stack_helpers.Attention()
    layer.positions, layer.num_distances = positions, ROWS
    layer.clamp_length = layer.clamp_length_eval = None
    for name, value in settings.items():
        setattr(layer, name, value)
    return layer


def sinusoids(distance):
    angle = np.asarray(distance)[..., None] * 10000.0 ** (-np.arange(4) / 4)
    return np.concatenate([np.sin(angle), np.cos(angle)], -1)


def rows(table, distance):
    return table[ROWS - 1 - np.minimum(distance, ROWS - 1)]


def run(function, x, mode="eval", ids=None, variables=None, names=single_layer.NAMES):
    with helpers.bench(variables=variables) as b:
        given = b.put(x.astype(np.float32), *names)
        whole = b.put(X, *single_layer.NAMES)
        context = single_layer.context_of(b, whole, mode, ids)
        return b.run({"y": function(context, given)})["y"]


DISTANCES = {
    "a text": (None, np.array([[4, 3, 2, 1, 0]] * 2)),
    "packed": (IDS, np.array([[4, 3, 4, 3, 2], [4, 3, 2, 1, 4]])),
}


@pytest.mark.parametrize("limit", [None, 2])
@pytest.mark.parametrize("case", DISTANCES)
def test_sinusoids_are_added_to_the_embeddings(case, limit):
    ids, distance = DISTANCES[case]
    layer = layer_of("transformer_xl_sinusoid", clamp_length_eval=limit)
    stack = stack_helpers.stack_of(PostNormLayerStack, [layer])
    found = run(lambda c, x: stream.sublayer_distance_sinusoids(x, stack, c), X, ids=ids)
    expected = X + sinusoids(np.minimum(distance, limit or 99))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", DISTANCES)
def test_learned_vectors_are_added_to_the_input_of_a_layer(case):
    ids, distance = DISTANCES[case]
    layer = layer_of("transformer_xl_absolute")
    table = np.random.default_rng(0).standard_normal([ROWS, 8]).astype(np.float32)
    variables = {"positional_embedding": table}
    found = run(lambda c, x: stream.add_to_stream(layer, c, x), X, ids=ids, variables=variables)
    np.testing.assert_allclose(found, X + rows(table, distance), rtol=0, atol=1e-6)


@pytest.mark.parametrize("positions", ["transformer_xl_sinusoid", "transformer_xl_absolute"])
@pytest.mark.parametrize("is_first", [True, False])
def test_memory_has_the_distances_before_the_row(positions, is_first):
    """Seven positions of memory before a row of five; sinusoids at the first layer only."""
    layer = layer_of(positions)
    memory = np.random.default_rng(1).standard_normal([2, 7, 8]).astype(np.float32)
    table = np.random.default_rng(0).standard_normal([ROWS, 8]).astype(np.float32)
    is_learned = positions == "transformer_xl_absolute"
    found = run(
        lambda c, m: stream.add_to_memory(layer, c, m, m.shape.dims[1], 5, is_first),
        memory,
        variables={"positional_embedding": table} if is_learned else {},
        names=("batch", "memory", "d_model"),
    )
    distance = np.arange(11, 4, -1)
    added = rows(table, distance) if is_learned else sinusoids(distance) * is_first
    np.testing.assert_allclose(found, memory + added, rtol=0, atol=1e-6)


def test_the_residual_connection_has_the_vectors():
    """As in the authors' code: they are added to the stream, before the layer and its residual."""
    layers = [layer_of("transformer_xl_absolute"), stack_helpers.FeedForward()]
    found = stack_helpers.run(stack_helpers.stack_of(PostNormLayerStack, layers))
    table = found["layer_0/positional_embedding"]
    x = X + rows(table, np.arange(4, -1, -1))
    scales = [found[f"layer_{i}/rms_norm/scale"] for i in range(2)]
    x = stack_helpers.rms(x + stack_helpers.attention(x), scales[0])
    x = stack_helpers.rms(x + stack_helpers.feed_forward(x), scales[1])
    np.testing.assert_allclose(found["y"], x, rtol=0, atol=1e-5)


def test_parallel_layers_read_the_input_with_the_vectors():
    layers = [layer_of("transformer_xl_absolute"), stack_helpers.FeedForward()]
    found = stack_helpers.run(stack_helpers.stack_of(ParallelLayerStack, layers))
    x = X + rows(found["layer_0/positional_embedding"], np.arange(4, -1, -1))
    scales = [found[f"{scope}rms_norm/scale"] for scope in ("layer_0/", "layer_1/", "")]
    attended = stack_helpers.attention(stack_helpers.rms(x, scales[0]))
    x = x + attended + stack_helpers.feed_forward(stack_helpers.rms(x, scales[1]))
    np.testing.assert_allclose(found["y"], stack_helpers.rms(x, scales[2]), rtol=0, atol=1e-5)


def test_layers_with_other_positions_change_nothing():
    x = np.ones([1, 4, 8], np.float32)
    for positions in (None, "rotary", "transformer_xl", "transformer_xl_sinusoid"):
        layer = MultiHeadAttention(positions=positions)
        with helpers.bench() as b:
            given = b.put(x, *single_layer.NAMES)
            assert stream.add_to_stream(layer, single_layer.context_of(b, given), given) is given
        assert stream.adds_to_embeddings([layer]) == (positions == "transformer_xl_sinusoid")


def test_a_table_is_a_table_of_positions():
    """So that position_stddev is of it, too."""
    layer = layer_of("transformer_xl_absolute")
    with helpers.bench() as b:
        given = b.put(X, *single_layer.NAMES)
        stream.add_to_stream(layer, single_layer.context_of(b, given), given)
        (variable,) = b.graph.trainable_variables
    assert variable.name == "positional_embedding"
    assert variable.shape == mtf.Shape([mtf.Dimension("distances", ROWS), given.shape.dims[2]])
