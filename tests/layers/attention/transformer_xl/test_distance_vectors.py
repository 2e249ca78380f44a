"""Sinusoids and rows of a learned table, by distance."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.attention.transformer_xl import distance_vectors
from tests.layers import helpers


def sinusoids(distance, width, mesh=()):
    with helpers.bench(*mesh) as b:
        given = b.put(np.asarray(distance, np.float32), "relative_distance")
        model_dim = mtf.Dimension("d_model", width)
        return b.run({"x": distance_vectors.sinusoids(given, model_dim)})["x"]


@pytest.mark.parametrize("width", [2, 6, 32])
def test_sinusoids(width):
    distance = np.array([5, 0, -3, 400])
    angle = distance[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    expected = np.concatenate([np.sin(angle), np.cos(angle)], 1)
    np.testing.assert_allclose(sinusoids(distance, width), expected, rtol=0, atol=3e-5)


def test_a_mesh_may_split_the_width():
    expected = sinusoids([3, 1], 8)
    np.testing.assert_array_equal(sinusoids([3, 1], 8, ("all:2", "d_model:all")), expected)


def test_an_odd_width_is_an_error():
    with pytest.raises(ValueError, match="^d_model = 7: the sinusoids of Transformer-XL's pos"):
        sinusoids([1], 7)


# The longest distance, the number of distances; 4 rows are of the distances 3, 2, 1, 0.
@pytest.mark.parametrize(("first", "number"), [(3, 4), (2, 3), (6, 7), (6, 3), (9, 2), (2, 5)])
@pytest.mark.parametrize("limit", [None, 9, 3, 1])
def test_rows(first, number, limit):
    table = np.random.default_rng(0).standard_normal([4, 2]).astype(np.float32)
    with helpers.bench() as b:
        given = b.put(table, "distances", "d_model")
        short = distance_vectors.shortened(given, given.shape.dims[0], limit)
        dim = mtf.Dimension("relative_distance", number)
        found = b.run({"rows": distance_vectors.rows(*short, first, dim)})["rows"]
    for row, distance in zip(found, first - np.arange(number), strict=True):
        longest = min(4, limit or 4) - 1
        expected = table[3 - min(distance, longest)] if distance >= 0 else 0
        np.testing.assert_array_equal(row, np.broadcast_to(expected, 2), err_msg=str(distance))
