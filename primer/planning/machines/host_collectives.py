"""Collectives between devices of one processor, as Mesh-TensorFlow's PlacementMeshImpl makes them.

They are TensorFlow operations of the devices, whose number grows with the devices: an all-reduce of
a large tensor splits it into a shard for each of the n devices and sums each shard along the ring.
A tensor that another device reads is sent and received, but not copied.
"""

import math
from typing import NamedTuple

from primer.planning.device_program.program import Collective

# From this number of elements on, an all-reduce splits a tensor that divides.
SPLIT_FROM = 1024


class Cost(NamedTuple):
    """What a collective costs on one device.

    Attributes:
        operations: TensorFlow operations, without those that send and receive.
        transfers: tensors that it sends, and as many that it receives.
        bytes: read and written.
    """

    operations: float
    transfers: float
    bytes: float


def cost(collective: Collective) -> Cost:
    """Returns the cost of one run of a collective on one device."""
    size, n = collective.bytes, collective.group_size
    if n == 1:
        return Cost(0, 0, 0)
    if collective.purpose == "all_concat":  # The operand is the whole result.
        return Cost(n + 1, n - 1, 2 * size)
    if collective.kind == "all_reduce":
        return _all_reduce(size, n, math.prod(collective.shape))
    if collective.kind == "all_to_all":
        # Half of the messages pass through each device, which splits them again at each step.
        return Cost(9 + 5 * n, n - 1, (4 + n / 4) * size)
    return Cost(1, 1, 0)  # A permutation.


def _all_reduce(size: int, n: int, elements: int) -> Cost:
    """Returns the cost: sums of two operands, around them a split and a concatenation."""
    sums, over_ring = 3 * size, 2 * (n - 1)
    if elements < SPLIT_FROM or elements % n:
        return Cost(over_ring / n, over_ring / n, sums)
    return Cost(2 * n + 4, over_ring, sums + 4 * size)
