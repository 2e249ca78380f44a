"""The time of a collective operation over axes of a mesh, by the formulas of rings.

With n devices in an axis, B bytes of a tensor on each, and W bytes per second that a device sends
along the axis:

- all-reduce: 2 (n - 1) / n x B / W. Over several axes, one after another: reduce-scatter over each,
  on the part that the ones before have left, and all-gather in the opposite order.
- all-gather of parts of B bytes: (n - 1) B / W. reduce-scatter of B bytes: (n - 1) / n x B / W.
- all-to-all: half of the bytes of one half of the axis cross its middle, which has a link in a
  line, two in a ring, and one for each device behind a switch.
- permutation (each device sends B bytes to its neighbor): B / L, L being one link in one direction.

Chips of a TPU form a torus. Each axis of the mesh is a row of chips in it, with W = 2 L where the
row closes to a ring (both directions) and W = L where it does not; a mesh with fewer axes than
the torus has uses the links of the others too. The last axis of the mesh has the two cores of a
chip side by side, and over every other axis the two share the chip's links. The last axis of a mesh
of GPUs lies within a node as far as the node goes; beyond it every device has its own network
adapter.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from primer.planning.machines.chips import Chip

ALL_REDUCE, ALL_GATHER, ALL_TO_ALL = "all_reduce", "all_gather", "all_to_all"
REDUCE_SCATTER, PERMUTE = "reduce_scatter", "permute"


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis of a mesh on a chip's interconnect.

    Attributes:
        size: the number of devices.
        link: bytes per second to one neighbor, in one direction, that a device has for itself.
        bandwidth: bytes per second that a device sends along the axis in a ring algorithm.
        middle: bytes per second that cross the middle of the axis in one direction.
    """

    size: int
    link: float
    bandwidth: float
    middle: float


def axes_of(chip: Chip, mesh: Mapping[str, int]) -> dict[str, Axis]:
    """Returns the axes of a mesh on a chip's interconnect.

    Args:
        chip: the chip.
        mesh: {name of an axis: its size}, the outermost first.
    """
    axes, inner = {}, math.prod(mesh.values())
    for name, size in mesh.items():
        inner //= size
        axes[name] = _axis(chip, size, inner, list(mesh.values()))
    return axes


def _axis(chip: Chip, size: int, inner: int, sizes: Sequence[int]) -> Axis:
    if not chip.torus_axes:
        return _switch_axis(chip, size, inner)
    has_cores = inner % chip.devices_per_chip != 0  # All devices of a chip lie in this axis.
    link = chip.link_bandwidth / (1 if has_cores else chip.devices_per_chip)
    in_row = max(size // chip.devices_per_chip, 1) if has_cores else size
    directions = 2 if in_row % chip.ring_of == 0 else 1
    used = sum(other > 1 for other in sizes)
    rows = max(chip.torus_axes // max(used, 1), 1)
    bandwidth = link * directions * rows
    return Axis(size, link, bandwidth, bandwidth)


def _switch_axis(chip: Chip, size: int, inner: int) -> Axis:
    """Returns an axis of devices in nodes; `inner` devices lie between two neighbors of it."""
    if inner * size <= chip.node:
        link = chip.link_bandwidth
        return Axis(size, link, link, link * size / 2)
    together = max(chip.node // inner, 1)  # Devices of the axis in one node.
    link = chip.network_bandwidth
    ring = min(chip.link_bandwidth, link * together)
    return Axis(size, link, ring, link * size / 2)


def seconds(kind: str, size_in_bytes: float, axes: Sequence[Axis]) -> float:
    """Returns the time of a collective operation.

    Args:
        kind: one of the constants of this module.
        size_in_bytes: the bytes of the operation's input on one device.
        axes: the axes over which it goes; several only for an all-reduce.
    """
    axes = [axis for axis in axes if axis.size > 1]
    if kind == ALL_REDUCE:
        return 2 * _scatter_over(size_in_bytes, axes)
    total = 0.0
    for axis in axes:
        total += _over_one_axis(kind, size_in_bytes, axis)
        if kind == ALL_GATHER:
            size_in_bytes *= axis.size
    return total


def _scatter_over(size_in_bytes: float, axes: Sequence[Axis]) -> float:
    """Returns the time of reduce-scatters, first over the fastest axis: later ones have less."""
    total = 0.0
    for axis in sorted(axes, key=lambda axis: -axis.bandwidth):
        total += (axis.size - 1) / axis.size * size_in_bytes / axis.bandwidth
        size_in_bytes /= axis.size
    return total


def _over_one_axis(kind: str, size_in_bytes: float, axis: Axis) -> float:
    if kind == ALL_GATHER:
        return (axis.size - 1) * size_in_bytes / axis.bandwidth
    if kind == REDUCE_SCATTER:
        return _scatter_over(size_in_bytes, [axis])
    if kind == PERMUTE:
        return size_in_bytes / axis.link
    if kind == ALL_TO_ALL:
        crossing = axis.size / 2 * size_in_bytes / 2
        return crossing / axis.middle
    raise ValueError(f"{kind!r} is no collective operation that is counted")
