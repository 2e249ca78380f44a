"""The move of products to the keys at their distance: values, gradients, meshes."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.attention.transformer_xl import relative_shift
from tests.layers import helpers

NAMES = ("batch", "heads", "length", "distances")


def shifted(x, keys, weights=None, mesh_shape="", layout=""):
    with helpers.bench(mesh_shape, layout) as b:
        given = b.put(x.astype(np.float32), *NAMES)
        query_dim, memory_dim = given.shape.dims[2], mtf.Dimension("memory_length", keys)
        y = relative_shift.shift(given, query_dim, memory_dim)
        outputs = {"y": y}
        if weights is not None:
            weights = b.put(weights.astype(np.float32), *NAMES[:3], "memory_length")
            outputs["dx"] = mtf.gradients([mtf.reduce_sum(y * weights)], [given])[0]
        return b.run(outputs)


def in_loops(x, keys):
    """y[i, j] = x[n - 1 - i + j] where the distance is 0 or more, NaN elsewhere; and the indices"""
    queries = x.shape[-2]
    y = np.full([*x.shape[:-1], keys], np.nan)
    for i in range(queries):
        for j in range(i + keys - queries + 1):
            y[..., i, j] = x[..., i, queries - 1 - i + j]
    return y


@pytest.mark.parametrize(
    ("queries", "keys", "distances"), [(4, 4, 5), (3, 8, 9), (1, 6, 7), (5, 5, 10), (4, 6, 11)]
)
def test_values_and_gradients(queries, keys, distances):
    rng = np.random.default_rng(0)
    x = rng.standard_normal([2, 3, queries, distances])
    expected = in_loops(x, keys)
    seen = ~np.isnan(expected)
    weights = rng.standard_normal(expected.shape) * seen
    found = shifted(x, keys, weights)
    np.testing.assert_allclose(found["y"][seen], expected[seen], rtol=1e-6)
    dx = np.zeros_like(x)
    for i in range(queries):
        for j in range(i + keys - queries + 1):
            dx[..., i, queries - 1 - i + j] += weights[..., i, j]
    np.testing.assert_allclose(found["dx"], dx, rtol=1e-6)


def test_later_keys_have_negative_distances_where_x_has_them():
    x = np.arange(8.0).reshape(1, 1, 1, 8).repeat(3, 2)  # Distances 4, 3, ..., -3.
    found = shifted(x, 5)["y"][0, 0]
    # Of query 0 of 3, which is at the position of key 2 of 5: distances 2, 1, 0, -1, -2.
    np.testing.assert_array_equal(4 - found, [[2, 1, 0, -1, -2], [3, 2, 1, 0, -1], [4, 3, 2, 1, 0]])


@pytest.mark.parametrize("layout", ["batch:rows,heads:columns", "length:rows"])
def test_mesh(layout):
    x = np.random.default_rng(0).standard_normal([2, 2, 4, 7])
    weights = np.random.default_rng(1).standard_normal([2, 2, 4, 6])
    expected = shifted(x, 6, weights)
    found = shifted(x, 6, weights, "rows:2,columns:2", layout)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("layout", ["", "batch:rows,heads:columns", "window:columns"])
def test_a_rolling_cache_has_a_distance_per_slot(layout):
    x = np.random.default_rng(0).standard_normal([2, 2, 5]).astype(np.float32)
    index = np.array([[4, 0, 1, 3], [2, 2, 4, 0]], np.int32)
    with helpers.bench("rows:2,columns:2", layout) as b:
        given, places = b.put(x, "batch", "heads", "distances"), b.put(index, "batch", "window")
        y = relative_shift.at_distances(given, places, places.shape.dims[1])
        assert y.shape.dimension_names == ["batch", "heads", "window"]
        found = b.run({"y": y})["y"]
    np.testing.assert_array_equal(found, np.take_along_axis(x, index[:, None], -1))
