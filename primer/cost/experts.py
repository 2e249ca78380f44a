"""The share of a weight that a token uses: all of it, and less of a weight that experts have.

A layer of experts has an attribute `chosen_experts`: {dimensions that number experts: how many of
these experts a token chooses}, as in {("experts",): 2}. Of a weight `[experts, d_model, d_ff]` a
token uses 2 / experts; the router's weight `[d_model, expert_unsplit]` has no such dimension.
"""

import math
from collections.abc import Mapping
from typing import Any

import mesh_tensorflow as mtf


def share_used(layer: Any, shape: mtf.Shape) -> float | None:
    """Returns the share of a weight of experts that the computation of one token uses.

    Args:
        layer: a layer of the stack, or None for a weight outside the stack.
        shape: the weight's shape.

    Returns:
        The share, at most 1; None for a weight that does not belong to experts.
    """
    chosen: Mapping[tuple[str, ...], float] = getattr(layer, "chosen_experts", {})
    numbering = {name for names in chosen for name in names}
    own = {dim.name: dim.size for dim in shape.dims if dim.name in numbering}
    for names, number in chosen.items():
        if set(names) == set(own):
            return min(1.0, number / math.prod(own.values()))
    return None
