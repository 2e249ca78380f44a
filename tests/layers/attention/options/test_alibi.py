"""ALiBi: the slopes of the authors' code and of x-transformers, and the bias in every shape."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.attention.options import alibi
from tests.layers import helpers


@pytest.mark.parametrize(
    "expected",
    [
        [0.00390625],
        [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625],
        # Of PyPI's x-transformers 2.31.10: `AlibiPositionalBias._get_slopes`.
        [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125],
        [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]
        + [0.70710678, 0.35355339, 0.1767767, 0.088388348],
    ],
    ids=len,
)
def test_slopes(expected):
    np.testing.assert_allclose(alibi.slopes(len(expected)), expected, rtol=1e-7)


def run(heads, position, position_names, memory_position, memory_names, mesh=(), **settings):
    with helpers.bench(*mesh) as b:
        dims = [mtf.Dimension(name, size) for name, size in heads]
        t = alibi.bias(
            b.mesh,
            dims,
            b.put(np.asarray(position, np.int32), *position_names),
            b.put(np.asarray(memory_position, np.int32), *memory_names),
            **settings,
        )
        return t.shape.dimension_names, b.run({"bias": t})["bias"]


def test_the_bias_falls_on_both_sides_where_both_are_seen():
    places = np.arange(5)
    names, values = run(
        [("heads", 6)], places, ["length"], places, ["memory_length"], sees_later=True
    )
    values = values.transpose([names.index(n) for n in ("heads", "length", "memory_length")])
    distance = np.abs(places[:, None] - places)
    expected = -np.array(alibi.slopes(6))[:, None, None] * distance
    np.testing.assert_allclose(values, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "heads", [[], [("heads", 6)], [("heads", 3), ("query_heads", 2)]], ids=["one", "six", "grouped"]
)
def test_equation(heads):
    names, values = run(heads, np.arange(5), ["length"], np.arange(5), ["memory_length"])
    order = [names.index(name) for name in ("length", "memory_length")]
    values = np.moveaxis(values, order, (-2, -1)).reshape(-1, 5, 5)
    distance = np.arange(5)[:, None] - np.arange(5)
    slopes = np.array(alibi.slopes(6 if heads else 1))
    np.testing.assert_allclose(values, -slopes[:, None, None] * distance, rtol=1e-6)


def test_one_position_per_row_and_a_rolling_memory():
    """The rows of a window's cache hold different positions."""
    position, memory = np.array([9, 4]), np.array([[8, 9, 7], [3, 4, 2]])
    names, values = run([("heads", 2)], position, ["batch"], memory, ["batch", "window"])
    assert names[0] == "heads" and sorted(names[1:]) == ["batch", "window"]
    values = np.moveaxis(values, names.index("window"), -1)  # [heads, batch, window]
    expected = -np.array([0.0625, 0.00390625])[:, None, None] * [[1, 0, 2], [1, 0, 2]]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_long_distances_are_exact():
    memory = [0, 99_998, 99_999]
    _, values = run([("heads", 8)], [100_000], ["length"], memory, ["memory_length"])
    assert values.dtype == np.float32
    expected = -np.array(alibi.slopes(8))[:, None] * [100_000, 2, 1]
    np.testing.assert_array_equal(values.reshape(8, 3), expected)


def test_heads_split_over_a_mesh():
    setting = ([("heads", 4), ("query_heads", 3)], np.arange(4), ["length"])
    memory = (np.arange(4), ["memory_length"])
    for layout in ("heads:columns", "length:columns", "memory_length:columns"):
        _, values = run(*setting, *memory, mesh=("columns:2", layout))
        np.testing.assert_array_equal(values, run(*setting, *memory)[1])
