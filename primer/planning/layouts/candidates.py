"""The meshes of a number of devices, and the layouts worth a look on each.

Axes are called `rows` and `columns`. The layouts are, as far as a model has the dimensions:

- data: rows of the batch over the only axis; experts over the same one;
- model: hidden units, heads and the vocabulary over the only axis;
- fully sharded data: as data, and the weights' d_model over the same axis (ZeRO-3);
- data x model: rows of the batch over the first axis, model over the second;
- two-dimensional: GShard's, weights over both axes, activations over batch and d_model;
- width x model: d_model over the first axis, model over the second, all rows everywhere.
"""

import math
from collections.abc import Iterator, Mapping, Sequence, Set

from primer.common.sharding.stored_weights import STORED

ROWS, COLUMNS = "rows", "columns"
# What "model" splits. `expert_hidden` are the hidden units of experts.
MODEL = ("d_ff", "heads", "vocab")


def factorings(devices: int, most_axes: int = 2) -> list[dict[str, int]]:
    """Returns all meshes of one axis and of two, in both orders.

    The order decides where an axis lies: the last one holds the two cores of a TPU v3 chip, and the
    GPUs of a node.

    Args:
        devices: the number of devices.
        most_axes: 1 or 2.
    """
    found = [{ROWS: devices}]
    if most_axes > 1:
        found += [
            {ROWS: rows, COLUMNS: devices // rows}
            for rows in range(2, devices // 2 + 1)
            if devices % rows == 0
        ]
    return found


def layouts(axes: Sequence[str], dimensions: Set[str]) -> list[tuple[str, dict[str, str]]]:
    """Returns (name, {dimension: axis}) of the layouts of a mesh.

    Args:
        axes: the names of its axes, at most two; without one there is no layout.
        dimensions: the dimensions of the model.
    """
    if not axes:
        return []
    found = _of_one_axis(axes[0]) if len(axes) == 1 else _of_two_axes(*axes)
    kept: list[tuple[str, dict[str, str]]] = []
    for name, layout in found:
        rules = effective(layout, dict.fromkeys(axes, 2), dimensions)
        if any(rules == other for _, other in kept):
            continue
        kept.append((name, rules))
    return kept


def effective(
    layout: Mapping[str, str], mesh: Mapping[str, int], dimensions: Set[str]
) -> dict[str, str]:
    """Returns the rules of a layout that split something of a model on a mesh."""
    known = {*dimensions, STORED}
    return {dim: axis for dim, axis in layout.items() if dim in known and mesh.get(axis, 1) > 1}


def _of_one_axis(axis: str) -> Iterator[tuple[str, dict[str, str]]]:
    data = {"batch": axis, "experts": axis}
    yield "data", data
    yield "model", dict.fromkeys((*MODEL, "experts"), axis)
    yield "fully sharded data", {**data, STORED: axis}


def _of_two_axes(first: str, second: str) -> Iterator[tuple[str, dict[str, str]]]:
    data = {"batch": first, "experts": first}
    model = dict.fromkeys((*MODEL, "expert_hidden"), second)
    yield "data x model", {**data, **model}
    yield "two-dimensional", {**data, "d_model": second, STORED: first, **model}
    yield "width x model", {"d_model": first, **dict.fromkeys(MODEL, second)}


def size(mesh: dict[str, int]) -> int:
    """Returns the number of devices of a mesh."""
    return math.prod(mesh.values())
