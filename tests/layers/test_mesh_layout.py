"""Where a layout splits dimensions."""

import types

import mesh_tensorflow as mtf
import pytest

from primer.layers import mesh_layout
from tests.layers import helpers

MESH, LAYOUT = "rows:2,columns:4", "batch:rows,heads:columns"
BATCH, HEADS, LENGTH = (mtf.Dimension(n, 8) for n in ("batch", "heads", "length"))


@pytest.mark.parametrize("dim, axis, splits", [(BATCH, 0, 2), (HEADS, 1, 4), (LENGTH, None, 1)])
def test_axis_and_number_of_splits(dim, axis, splits):
    model = types.SimpleNamespace(layout=LAYOUT, mesh_shape=MESH)
    assert mesh_layout.mesh_axis(model, dim) == axis
    assert mesh_layout.num_splits(model, dim) == splits


@pytest.mark.parametrize("layout, mesh_shape", [(None, MESH), (LAYOUT, None), ("", "")])
def test_without_a_layout_or_a_mesh_nothing_is_split(layout, mesh_shape):
    model = types.SimpleNamespace(layout=layout, mesh_shape=mesh_shape)
    assert mesh_layout.mesh_axis(model, BATCH) is None
    assert mesh_layout.num_splits(model, BATCH) == 1


def test_split_axes_of_a_lowered_mesh():
    with helpers.bench(MESH, LAYOUT) as b:
        (mesh_impl,) = b.lower().mesh_to_impl.values()
    assert mesh_layout.split_axes(mesh_impl, [HEADS, LENGTH, BATCH]) == [1, 0]
