"""Groups of tokens: their number and size, the shapes, and names for dimensions on a mesh."""

import types

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.experts import groups
from tests.layers import helpers

ALONE = types.SimpleNamespace(layout=None, mesh_shape=None)
MESH = types.SimpleNamespace(layout="batch:rows,experts:rows", mesh_shape="rows:2")
DIMS = [mtf.Dimension(n, 4) for n in ("expert_unsplit", "outer_batch", "batch", "d_model")]
EXPERTS = mtf.Dimension("experts", 4)


@pytest.mark.parametrize(
    "num_tokens, max_group_size, multiple, expected",
    [
        (48, 48, 1, (1, 48)),
        (48, 100, 1, (1, 48)),
        (48, 20, 1, (2, 24)),
        (48, 12, 1, (4, 12)),
        (48, 48, 4, (4, 12)),
        (48, 11, 4, (4, 12)),
        (48, 7, 1, (6, 8)),
    ],
)
def test_number_and_size_of_groups(num_tokens, max_group_size, multiple, expected):
    """The number divides the tokens and is a multiple of the processors."""
    assert groups.split_into_groups(num_tokens, max_group_size, multiple) == expected


def test_tokens_that_cannot_be_split_evenly_raise_an_error():
    with pytest.raises(ValueError, match="a batch of 10 tokens .* over 4 processors"):
        groups.split_into_groups(10, 4, 4)


@pytest.mark.parametrize(
    "names", [("batch", "length"), ("outer_batch", "batch", "length"), ("batch",)]
)
def test_groups_are_reshaped_and_back(names):
    sizes = dict(outer_batch=2, batch=4, length=6)
    x = np.random.default_rng(0).standard_normal([*(sizes[n] for n in names), 3])
    with helpers.bench() as b:
        tensor = b.put(x.astype(np.float32), *names, "d_model")
        made = groups.of_batch(tensor, 2, ALONE)
        grouped = made.to_groups(tensor)
        assert grouped.shape.dimension_names == ["outer_batch", "batch", "group", "d_model"]
        assert grouped.shape.dims[2].size == 2
        y = b.run({"y": made.from_groups(grouped)})["y"]
    np.testing.assert_array_equal(y, x.astype(np.float32))


def test_a_dimension_on_the_mesh_axis_of_the_experts_is_renamed():
    exchange = groups.exchange(DIMS, DIMS[0], EXPERTS, MESH)
    assert exchange.grouped == mtf.Shape(DIMS)
    names = exchange.expert.dimension_names
    assert names == ["experts", "outer_batch", "batch_unsplit", "d_model"]


def test_without_a_mesh_only_the_experts_are_renamed():
    exchange = groups.exchange(DIMS, DIMS[0], EXPERTS, ALONE)
    assert exchange.expert.dimension_names == ["experts", "outer_batch", "batch", "d_model"]
