"""Writing one position of a cache, on one device and on meshes that split any of its dimensions."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.attention import cached_position
from tests.layers import helpers

BATCH, HEADS, LENGTH, CHANNELS = 4, 2, 6, 8
RNG = np.random.default_rng(0)
CACHE = RNG.normal(size=[BATCH, HEADS, LENGTH, CHANNELS]).astype(np.float32)
NEW = RNG.normal(size=[BATCH, CHANNELS, HEADS]).astype(np.float32)
NAMES = ("batch", "heads", "memory_length", "d_kv")


class Context:
    """Stands in for a transformer.Context."""

    def __init__(self, owns_states):
        self.owns_states = owns_states


@pytest.mark.parametrize("owns_states", [False, True])
@pytest.mark.parametrize(
    "mesh_shape, layout",
    [
        ("", ""),
        ("rows:2,columns:2", "batch:rows,heads:columns"),
        ("all:2", "memory_length:all"),
        ("all:2", "d_kv:all"),
    ],
    ids=str,
)
def test_a_position_is_written_and_nothing_else(mesh_shape, layout, owns_states):
    positions = np.array([5, 0, 2, 3] if owns_states else [5, 0, 6, -1], np.int32)
    expected = CACHE.copy()
    for row, position in enumerate(positions):
        if 0 <= position < LENGTH:  # Rows that have ended count on: Mesh-TensorFlow's loop.
            expected[row, :, position] = NEW[row].T
    with helpers.bench(mesh_shape, layout) as b:
        cache = b.put(CACHE + 0, *NAMES)
        written = cached_position.write(
            cache,
            b.put(NEW, "batch", "d_kv", "heads"),
            b.put(positions, "batch"),
            cache.shape.get_dim_by_name("memory_length"),
            Context(owns_states),
        )
        assert written.shape == cache.shape
        found = b.run({"written": written})["written"]
    np.testing.assert_array_equal(found, expected)


def test_a_position_of_all_rows():
    with helpers.bench() as b:
        cache = b.put(CACHE, *NAMES)
        position = mtf.constant(b.mesh, 3, dtype=mtf.tf.int32)
        length = cache.shape.get_dim_by_name("memory_length")
        new = b.put(NEW, "batch", "d_kv", "heads")
        written = cached_position.write(cache, new, position, length, Context(False))
        found = b.run({"written": written})["written"]
    expected = CACHE.copy()
    expected[:, :, 3] = NEW.transpose(0, 2, 1)
    np.testing.assert_array_equal(found, expected)


def test_the_products_of_one_query_are_those_of_einsum():
    rng = np.random.default_rng(1)
    q = rng.normal(size=[BATCH, HEADS, CHANNELS]).astype(np.float32)
    weights = rng.normal(size=[HEADS, LENGTH]).astype(np.float32)
    with helpers.bench() as b:
        cache = b.put(CACHE, *NAMES)
        queries = b.put(q, "batch", "heads", "d_kv")
        rows = cached_position.one_query(queries, cache)
        logits = mtf.einsum([rows, cache], reduced_dims=[rows.shape.dims[-1]])
        tensors = {
            "logits": cached_position.without_query(logits),
            "sum": cached_position.product(
                b.put(weights, "heads", "memory_length"), cache, queries.shape
            ),
        }
        assert cached_position.without_query(queries) is queries
        found = b.run(tensors)
    np.testing.assert_allclose(found["logits"], np.einsum("bhd,bhmd->bhm", q, CACHE), atol=1e-5)
    np.testing.assert_allclose(found["sum"], np.einsum("hm,bhmd->bhd", weights, CACHE), atol=1e-5)
