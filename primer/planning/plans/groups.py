"""The parts of a plan, with the layers that are equal in all blocks together."""

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from primer.planning.device_program.program import DeviceProgram
from primer.planning.machines import step_time
from primer.planning.plans.plan import Plan

_LAYER = re.compile(r"block_(\d+)/(.+)")
# FLOPs of two layers that are called equal differ by less: the first one may own a shared table.
_TOLERANCE = 0.01
# The share of the step's time below which a part without memory and products is left out.
_SHOWN = 1e-3


@dataclasses.dataclass
class Group:
    """A part of the model, or the same layer of several blocks; all numbers are sums.

    Attributes:
        name: as `block_000-023/layer_001`.
        kind: the class of the layer; "" outside the blocks.
        parts: the names of its parts.
        parameters, slots, gradients, activations: bytes on one device.
        flops: {phase: FLOPs of one device}, products with one-hot tensors and repetitions included.
        useful_flops: of one device (`step_time.useful_flops`).
        sent: {axes, joined by " x ": bytes that one device sends}.
        seconds: by the estimate.
        communication: the part of it that is collectives.
    """

    name: str
    kind: str
    parts: list[str]
    parameters: int = 0
    slots: int = 0
    gradients: int = 0
    activations: int = 0
    flops: dict[str, int] = dataclasses.field(default_factory=dict)
    useful_flops: float = 0.0
    sent: dict[str, float] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    communication: float = 0.0

    @property
    def times(self) -> int:
        """The number of parts."""
        return len(self.parts)


def groups_of(plan: Plan) -> list[Group]:
    """Returns the groups of a plan in the order of the model, without those that take nothing."""
    program = plan.program
    groups = [
        Group(name_of(parts), plan.classes.get(parts[0], ""), parts)
        for parts in equal_parts(program.parts, _measures(program))
    ]
    owner = {part: group for group in groups for part in group.parts}
    for variable in program.variables:
        group = owner[variable.part]
        if variable.role == "parameter":
            group.parameters += variable.bytes
        elif variable.role == "slot":
            group.slots += variable.bytes
    for part, number in program.memory.gradients.items():
        owner[part].gradients += number
    for part, number in program.memory.activations.items():
        owner[part].activations += number
    _add_work(plan, owner)
    least = _SHOWN * plan.time.seconds
    return [group for group in groups if _is_shown(group, least)]


def _add_work(plan: Plan, owner: dict[str, Group]) -> None:
    for (part, phase), work in plan.program.work.items():
        group = owner[part]
        group.flops[phase] = group.flops.get(phase, 0) + work.flops
        group.useful_flops += step_time.useful_flops(work, phase)
    for collective in plan.program.collectives:
        sent = owner[collective.part].sent
        axes = " x ".join(collective.axes)
        sent[axes] = sent.get(axes, 0.0) + collective.sent_bytes
    for time in plan.time.parts:
        owner[time.part].seconds += time.seconds
        owner[time.part].communication += time.communication


def _is_shown(group: Group, least: float) -> bool:
    held = group.parameters + group.slots + group.gradients + group.activations
    return bool(held or any(group.flops.values()) or group.seconds > least)


def _measures(program: DeviceProgram) -> Callable[[str], Sequence[float]]:
    """Returns the function of a part that returns its FLOPs and the bytes of its parameters."""
    weight: Counter[str] = Counter()
    for variable in program.variables:
        if variable.role == "parameter":
            weight[variable.part] += variable.bytes
    return lambda part: (program.work_of(part).flops, weight[part])


def equal_parts(
    parts: Iterable[str], measures: Callable[[str], Sequence[float]]
) -> Iterator[list[str]]:
    """Yields lists of parts that are equal, at the place of the first one.

    Args:
        parts: the parts of a model, in its order.
        measures: returns numbers that differ by less than 1% between equal parts.
    """
    found: dict[str, list[list[str]]] = defaultdict(list)
    order: list[list[str]] = []
    for part in parts:
        match = _LAYER.fullmatch(part)
        layer = match[2] if match else part
        for equal in found[layer] if match else []:
            if _are_close(measures(equal[0]), measures(part)):
                equal.append(part)
                break
        else:
            found[layer].append([part])
            order.append(found[layer][-1])
    yield from order


def _are_close(some: Sequence[float], others: Sequence[float]) -> bool:
    return all(abs(a - b) <= _TOLERANCE * max(a, b) for a, b in zip(some, others, strict=True))


def name_of(parts: Sequence[str]) -> str:
    """Returns the name of equal parts, as `block_000-023/layer_001`.

    Blocks with gaps are `block_000...023`.
    """
    if len(parts) == 1:
        return parts[0]
    numbers = []
    for part in parts:
        match = _LAYER.fullmatch(part)
        assert match, parts
        numbers.append(match[1])
        layer = match[2]
    in_a_row = int(numbers[-1]) - int(numbers[0]) == len(numbers) - 1
    return f"block_{numbers[0]}{'-' if in_a_row else '...'}{numbers[-1]}/{layer}"
