"""Meshes and layouts as text: `8x16`, `rows:8,columns:16`, `batch:rows,d_ff:columns`.

Imports no TensorFlow: errors in a command's options come before it.
"""

import re
from collections.abc import Mapping, Sequence

from primer.errors import UsageError

# Mesh-TensorFlow's default rules name this axis, which only ensembles have.
ENSEMBLE = "ensemble"
_SIZES = re.compile(r"[1-9]\d*(x[1-9]\d*)*")
_NAMED = re.compile(r"([A-Za-z_]\w*):([1-9]\d*)")
_RULE = re.compile(r"([A-Za-z_]\w*):([A-Za-z_]\w*)")


def mesh_of(text: str, option: str = "--mesh") -> dict[str, int] | list[int]:
    """Returns the mesh that a text names.

    Args:
        text: sizes, as "8x16", or axes with names, as "rows:8,columns:16".
        option: the option or setting that has the text.

    Returns:
        {name of an axis: size}, or sizes alone, which `named` gives names.

    Raises:
        UsageError: the text is neither.
    """
    text = text.replace(" ", "")
    if _SIZES.fullmatch(text):
        return [int(size) for size in text.split("x")]
    pairs = [_NAMED.fullmatch(part) for part in re.split("[,;]", text)]
    if not all(pairs):
        raise UsageError(
            f"{option} {text!r}: expected the sizes of the axes, as 8x16, or axes with their "
            "names, as rows:8,columns:16"
        )
    mesh = {pair[1]: int(pair[2]) for pair in pairs if pair}
    if len(mesh) < len(pairs):
        raise UsageError(f"{option} {text!r}: two axes have one name; give each its own")
    return mesh


def named(
    sizes: Sequence[int], mesh: Mapping[str, int], layout: Mapping[str, str]
) -> dict[str, int]:
    """Returns the axes of a mesh of which only the sizes are given.

    Args:
        sizes: the sizes.
        mesh: the axes that gin files set; they give the names if there are as many.
        layout: the rules; else their axes give the names, in the order of the rules.

    Raises:
        UsageError: there are more sizes than names.
    """
    names = list(mesh)
    if len(names) != len(sizes):
        names = [axis for axis in dict.fromkeys(layout.values()) if axis != ENSEMBLE]
    if len(names) < len(sizes):
        text = "x".join(map(str, sizes))
        known = ", ".join(names) or "none"
        raise UsageError(
            f"--mesh {text}: the mesh has {len(sizes)} axes, and the layout rules name "
            f"{len(names)} ({known}); give the axes names, as --mesh {_example(sizes)}, and "
            "--layout"
        )
    return dict(zip(names, sizes, strict=False))


def _example(sizes: Sequence[int]) -> str:
    names = ("rows", "columns", "planes")
    return ",".join(
        f"{names[n] if n < len(names) else f'axis_{n}'}:{size}" for n, size in enumerate(sizes)
    )


def layout_of(text: str, option: str = "--layout") -> dict[str, str]:
    """Returns the layout rules of a text, {dimension: axis}, in their order.

    Args:
        text: the rules, as "batch:rows,d_ff:columns"; "" for none.
        option: the option or setting that has the text.

    Raises:
        UsageError: the text is no list of rules, or gives a dimension two axes.
    """
    parts = [part for part in re.split("[,;]", text.replace(" ", "")) if part]
    rules: dict[str, str] = {}
    for part in parts:
        rule = _RULE.fullmatch(part)
        if not rule:
            raise UsageError(
                f"{option}: {part!r} is no rule; expected dimension:axis pairs, as "
                "batch:rows,d_ff:columns"
            )
        if rules.setdefault(rule[1], rule[2]) != rule[2]:
            raise UsageError(
                f"{option}: the dimension {rule[1]} is split over {rules[rule[1]]} and over "
                f"{rule[2]}; give one rule for each dimension"
            )
    return rules


def mesh_text(mesh: Mapping[str, int]) -> str:
    """Returns a mesh in Mesh-TensorFlow's notation, `rows:8,columns:16`."""
    return ",".join(f"{name}:{size}" for name, size in mesh.items())


def layout_text(layout: Mapping[str, str]) -> str:
    """Returns layout rules in Mesh-TensorFlow's notation, `batch:rows,d_ff:columns`."""
    return ",".join(f"{dimension}:{axis}" for dimension, axis in layout.items())
