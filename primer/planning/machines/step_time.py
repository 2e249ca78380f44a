"""The time of a step on a chip: a roofline of each operation, and its collectives over each axis.

An operation takes the longer of its FLOPs at `utilization` of the peak and its bytes at the
bandwidth of the memory; the operations of a device follow one another. Chips run what a compiler
fuses; on the devices of one processor TensorFlow runs each operation alone, which takes
`Chip.operation_seconds` more, also those of collectives (`host_collectives`). Chips' collectives
take the time of `interconnect.seconds`. Between the two bounds that are printed lies what a
compiler makes of it: no collective while the device computes (`seconds`, the estimate), and all of
them behind computation (`overlapped`).
"""

import dataclasses
from collections import defaultdict

from primer.planning.device_program.program import DeviceProgram, Work
from primer.planning.machines import host_collectives, interconnect
from primer.planning.machines.chips import Chip

RECOMPUTE = "recompute"  # As `parts.RECOMPUTE`, which imports TensorFlow.
# Of matrix products alone, where nothing is said; memory and collectives are counted apart.
UTILIZATION = 0.7
# Of products whose speed is measured on this machine.
MEASURED = 1.0


@dataclasses.dataclass
class PartTime:
    """The time of a part of the model in a phase of the step, in seconds.

    Attributes:
        part, phase: as in a DeviceProgram.
        compute: of the products alone.
        memory: of the reads and writes alone.
        operations: of the operations, each by its slower bound.
        collectives: {axes, joined by " x ": seconds}.
    """

    part: str
    phase: str
    compute: float = 0.0
    memory: float = 0.0
    operations: float = 0.0
    collectives: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def communication(self) -> float:
        """The seconds of the collectives over all axes."""
        return sum(self.collectives.values())

    @property
    def seconds(self) -> float:
        """Operations, then collectives."""
        return self.operations + self.communication


@dataclasses.dataclass
class StepTime:
    """The time of a step.

    Attributes:
        utilization: the share of the peak that products are taken to reach.
        parts: in the order of the step.
        tokens: the tokens of a step on all devices.
        flops: the `useful_flops` of one device.
        peak: the FLOP/s of one device.
    """

    utilization: float
    parts: list[PartTime]
    tokens: int
    flops: float
    peak: float

    @property
    def seconds(self) -> float:
        """The estimate: nothing overlaps."""
        return sum(part.seconds for part in self.parts)

    @property
    def overlapped(self) -> float:
        """The lower bound: collectives run while the device computes."""
        return max(self.operations, self.communication)

    @property
    def operations(self) -> float:
        """The seconds of all operations but collectives."""
        return sum(part.operations for part in self.parts)

    @property
    def communication(self) -> float:
        """The seconds of all collectives."""
        return sum(part.communication for part in self.parts)

    @property
    def tokens_per_second(self) -> float:
        """By the estimate, on all devices together."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def model_utilization(self) -> float:
        """The share of the peak that useful FLOPs reach by the estimate."""
        return self.flops / (self.seconds * self.peak) if self.seconds else 0.0

    def by_axes(self) -> dict[str, float]:
        """Returns {axes, joined by " x ": seconds of collectives}."""
        found: dict[str, float] = defaultdict(float)
        for part in self.parts:
            for axes, seconds in part.collectives.items():
                found[axes] += seconds
        return dict(found)


def estimate(program: DeviceProgram, chip: Chip, utilization: float = UTILIZATION) -> StepTime:
    """Returns the estimated time of a step.

    Args:
        program: the program of one device.
        chip: the device.
        utilization: the share of the peak that products reach.
    """
    share = program.devices if chip.shares_host else 1
    parts: dict[tuple[str, str], PartTime] = {}
    bandwidth = chip.memory_bandwidth / share
    for kernel in program.kernels:
        time = parts.setdefault((kernel.part, kernel.phase), PartTime(kernel.part, kernel.phase))
        compute = kernel.flops / (chip.peak_of(kernel.dtype) / share * utilization)
        moved = kernel.bytes_unfused if chip.shares_host else kernel.bytes
        memory = moved / bandwidth
        start = chip.operation_seconds * share
        time.compute += compute * kernel.times
        time.memory += memory * kernel.times
        time.operations += (max(compute, memory) + start) * kernel.times
    _add_collectives(parts, program, chip)
    return StepTime(
        utilization,
        list(parts.values()),
        program.tokens,
        sum(useful_flops(work, phase) for (_, phase), work in program.work.items()),
        chip.peak_of(program.activation_dtype) / share,
    )


def useful_flops(work: Work, phase: str) -> float:
    """Returns the FLOPs of a device that a model needs.

    Without what several devices repeat, without products with one-hot tensors, and without what is
    computed a second time for the backward pass.

    Args:
        work: what a part computes in a phase.
        phase: the phase.
    """
    return 0.0 if phase == RECOMPUTE else work.useful_flops


def _add_collectives(
    parts: dict[tuple[str, str], PartTime], program: DeviceProgram, chip: Chip
) -> None:
    axes = interconnect.axes_of(chip, program.mesh)
    for collective in program.collectives:
        key = collective.part, collective.phase
        if chip.shares_host:
            cost = host_collectives.cost(collective)
            started = cost.operations * chip.operation_seconds
            sent = cost.transfers * chip.transfer_seconds
            seconds = (started + sent + cost.bytes / chip.memory_bandwidth) * program.devices
        else:
            own = [axes[name] for name in collective.axes]
            seconds = interconnect.seconds(collective.kind, collective.bytes, own)
        time = parts.setdefault(key, PartTime(*key))
        name = " x ".join(collective.axes)
        before = time.collectives.get(name, 0.0)
        time.collectives[name] = before + seconds * collective.times
