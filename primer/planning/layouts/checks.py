"""Checks of a mesh and a layout against the tensors of a model, before anything is lowered.

Mesh-TensorFlow finds the same mistakes while it lowers the graph, in words that name neither the
setting nor a way out; a rule that matches nothing it ignores.
"""

from collections.abc import Iterable, Mapping, Sequence, Set

import mesh_tensorflow as mtf

from primer.errors import UsageError
from primer.planning.layouts.notation import layout_text, mesh_text

SETTING = "utils.run.layout_rules"
_NAMES_SHOWN = 30


def check_axes(mesh: Mapping[str, int], layout: Mapping[str, str], setting: str = SETTING) -> None:
    """Raises UsageError for a rule that names an axis that the mesh does not have.

    Args:
        mesh: {axis: size}.
        layout: {dimension: axis}: the user's own rules.
        setting: the setting or option that has them.
    """
    for dimension, axis in layout.items():
        if axis not in mesh:
            raise UsageError(
                f"{setting}: the rule {dimension}:{axis} names the mesh axis {axis!r}, and the "
                f"mesh {mesh_text(mesh)!r} has {' and '.join(mesh) or 'none'}; name one of its "
                "axes, or remove the rule"
            )


def check_every_axis(mesh: Mapping[str, int], layout: Mapping[str, str]) -> None:
    """Raises UsageError for an axis that no rule names: its devices would repeat one another.

    Args:
        mesh: {axis: size}.
        layout: {dimension: axis}.
    """
    for axis, size in mesh.items():
        if size > 1 and axis not in layout.values():
            named = ", ".join(dict.fromkeys(layout.values())) or "no axis"
            raise UsageError(
                f"the mesh {mesh_text(mesh)!r} has the axis {axis} of {size} devices, and the "
                f"layout {layout_text(layout)!r} names {named}: all {size} would compute the same; "
                f"name another axis (--mesh), or split a dimension over {axis} (--layout)"
            )


def check_rules(layout: Mapping[str, str], dimensions: Set[str], setting: str = SETTING) -> None:
    """Raises UsageError for a rule whose dimension no tensor of the model has.

    Args:
        layout: {dimension: axis}: the user's own rules.
        dimensions: the names of the dimensions of all tensors.
        setting: the setting or option that has them.
    """
    for dimension, axis in layout.items():
        if dimension not in dimensions:
            known = sorted(name for name in dimensions if not name.startswith("_"))
            more = f" and {len(known) - _NAMES_SHOWN} more" if known[_NAMES_SHOWN:] else ""
            raise UsageError(
                f"{setting}: the rule {dimension}:{axis} matches no dimension of the model, which "
                f"has {', '.join(known[:_NAMES_SHOWN])}{more}; correct the name or remove the rule"
            )


def check_tensors(
    shapes: Iterable[tuple[str, mtf.Shape]],
    mesh: Mapping[str, int],
    layout: Mapping[str, str],
    sizes_only: bool = False,
) -> None:
    """Raises UsageError for a tensor that the layout cannot split.

    Args:
        shapes: (name, shape) of each tensor.
        mesh: {axis: size}.
        layout: {dimension: axis}; rules for axes that the mesh does not have take no effect.
        sizes_only: whether two dimensions on one axis are left to another check.
    """
    rules = {name: axis for name, axis in layout.items() if mesh.get(axis, 1) > 1}
    seen: set[tuple] = set()
    for name, shape in shapes:
        split = tuple((d.name, d.size, rules[d.name]) for d in shape.dims if d.name in rules)
        if split and split not in seen:
            seen.add(split)
            _check_shape(name, shape, split, mesh, sizes_only)


def _check_shape(
    name: str,
    shape: mtf.Shape,
    split: Sequence[tuple[str, int, str]],
    mesh: Mapping[str, int],
    sizes_only: bool,
) -> None:
    by_axis: dict[str, tuple[str, int]] = {}
    for dimension, size, axis in split:
        if size % mesh[axis]:
            raise UsageError(
                f"the dimension {dimension} has {size:,} entries in {_text(name, shape)}, and the "
                f"mesh axis {axis} has {mesh[axis]} devices, which do not divide it; change the "
                f"size to a multiple of {mesh[axis]}, the axis to a divisor of {size:,}, or remove "
                f"the rule {dimension}:{axis} from {SETTING} (--layout)"
            )
        if axis in by_axis and not sizes_only:
            other, other_size = by_axis[axis]
            raise UsageError(
                f"{_text(name, shape)} has two dimensions on the mesh axis {axis}: {other} of "
                f"{other_size:,} and {dimension} of {size:,} entries; split one of them over "
                f"another axis, or remove its rule from {SETTING} (--layout)"
            )
        by_axis[axis] = dimension, size


def _text(name: str, shape: mtf.Shape) -> str:
    sizes = ", ".join(f"{dimension.name} {dimension.size}" for dimension in shape.dims)
    return f"{name} [{sizes}]"


def shapes_of(graph: mtf.Graph) -> Iterable[tuple[str, mtf.Shape]]:
    """Yields the name and the shape of every tensor of a graph, the variables' first."""
    for variable in graph.all_variables:
        yield variable.name, variable.shape
    for operation in graph.operations:
        for output in operation.outputs:
            yield output.name, output.shape


def dimension_names(graph: mtf.Graph) -> set[str]:
    """Returns the names of the dimensions of all tensors of a graph."""
    return {dim.name for _, shape in shapes_of(graph) for dim in shape.dims}


def describe(mesh: Mapping[str, int], layout: Mapping[str, str]) -> str:
    """Returns a mesh and the rules that split something over it, in one line."""
    rules = {name: axis for name, axis in layout.items() if mesh.get(axis, 1) > 1}
    return f"{mesh_text(mesh) or 'one device'} with {layout_text(rules) or 'nothing split'}"
