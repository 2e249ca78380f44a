"""What a run of training takes on one mesh with one layout: memory, work, collectives, time."""

import dataclasses
from collections.abc import Mapping

from primer.planning.device_program.program import DeviceProgram
from primer.planning.machines.chips import Chip
from primer.planning.machines.step_time import StepTime

# What a plan changes in gin's settings: {(selector, parameter): value}.
Changes = Mapping[tuple[str, str], object]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A plan.

    Attributes:
        name: what it is, in words: the name of the layout, or the change that it tries.
        mesh: {axis: size}.
        layout: {dimension: axis}.
        chip: the device.
        program: the step of training on one device.
        time: its estimated time.
        changes: the changed settings, {"selector.parameter": value} as gin writes them.
        classes: {part of the model: name of the class of the layer}.
        vocabulary_size: the number of token ids.
    """

    name: str
    mesh: Mapping[str, int]
    layout: Mapping[str, str]
    chip: Chip
    program: DeviceProgram
    time: StepTime
    changes: Mapping[str, object] = dataclasses.field(default_factory=dict)
    classes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    vocabulary_size: int = 0

    @property
    def capacity(self) -> float:
        """The memory of one device in bytes."""
        return self.chip.memory / (self.program.devices if self.chip.shares_host else 1)

    @property
    def fits(self) -> bool:
        """Whether the peak is not above the memory of a device."""
        return self.program.memory.peak <= self.capacity

    @property
    def chips(self) -> float:
        """The number of chips: fewer than devices where a device is a core."""
        return self.program.devices / self.chip.devices_per_chip

    @property
    def rows(self) -> int:
        """The rows of a step on all devices."""
        return self.program.batch["batch"] * self.program.batch.get("outer_batch", 1)

    def rank(self) -> tuple[bool, float]:
        """The key by which plans are sorted: those that fit first, then by the time of a token."""
        return not self.fits, self.time.seconds / max(self.time.tokens, 1)


@dataclasses.dataclass(frozen=True)
class Budget:
    """What a number of tokens takes.

    Attributes:
        tokens: the tokens.
        steps: the steps, a fraction at the end included.
        seconds: the time.
        device_hours: of all devices.
        chip_hours: of all chips.
    """

    tokens: float
    steps: float
    seconds: float
    device_hours: float
    chip_hours: float

    @property
    def days(self) -> float:
        """The time in days."""
        return self.seconds / 86400


def budget(plan: Plan, tokens: float) -> Budget:
    """Returns what a number of tokens takes by the estimate of a plan."""
    steps = tokens / plan.time.tokens
    seconds = steps * plan.time.seconds
    hours = seconds / 3600
    return Budget(tokens, steps, seconds, hours * plan.program.devices, hours * plan.chips)
