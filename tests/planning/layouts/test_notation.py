"""Meshes and layouts as text, and their mistakes, which need no TensorFlow."""

import pytest

from primer.errors import UsageError
from primer.planning.layouts import notation


def test_meshes():
    assert notation.mesh_of("8x16") == [8, 16]
    assert notation.mesh_of("rows:8, columns:16") == {"rows": 8, "columns": 16}
    assert notation.mesh_text({"rows": 8, "columns": 16}) == "rows:8,columns:16"


@pytest.mark.parametrize("text", ["8x", "0x4", "rows:0", "rows", "rows:2;x", "", "-2"])
def test_no_mesh(text):
    with pytest.raises(UsageError, match=r"^--mesh .*: expected the sizes of the axes, as 8x16"):
        notation.mesh_of(text)


def test_two_axes_of_one_name():
    with pytest.raises(UsageError, match="two axes have one name"):
        notation.mesh_of("rows:2,rows:4")


def test_sizes_get_the_names_of_the_mesh_that_is_set_else_of_the_layout():
    layout = {"ensemble": "ensemble", "batch": "batch", "d_ff": "model", "experts": "batch"}
    assert notation.named([2, 4], {"a": 1, "b": 9}, layout) == {"a": 2, "b": 4}
    assert notation.named([2, 4], {}, layout) == {"batch": 2, "model": 4}
    assert notation.named([8], {}, layout) == {"batch": 8}
    with pytest.raises(UsageError, match="3 axes, and the layout .* 2 .batch, model.; give"):
        notation.named([2, 4, 2], {}, layout)


def test_layouts():
    assert notation.layout_of("batch:rows, d_ff:columns") == {"batch": "rows", "d_ff": "columns"}
    assert notation.layout_of("") == {}
    with pytest.raises(UsageError, match="^--layout: 'd_ff' is no rule; expected dimension:axis"):
        notation.layout_of("batch:rows,d_ff")
    with pytest.raises(UsageError, match="the dimension d_ff is split over a and over b"):
        notation.layout_of("d_ff:a,d_ff:b")
