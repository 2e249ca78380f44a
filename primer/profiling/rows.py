"""The operations of a profile added up: by kind, by layer, and equal operations together."""

import dataclasses
from collections.abc import Callable, Hashable, Iterable

from primer.planning.device_program.parts import BACKWARD, FORWARD, RECOMPUTE, UPDATE
from primer.planning.plans import groups
from primer.profiling.profile import OTHER, Operation, Profile

# The phases that tables and pictures tell apart; what is recomputed is work of the backward pass.
PHASES = (FORWARD, BACKWARD, UPDATE, OTHER)


@dataclasses.dataclass
class Row:
    """Operations that belong together; all numbers are sums over a step.

    Attributes:
        name: what they have in common.
        kind: the class of a layer, or the kind of equal operations; else "".
        parts: the parts of the model that they belong to, in the order of their time.
        phases: {phase: seconds}.
        times: how many operations ran.
        product_seconds: the time of the products among them.
        flops, useful_flops, bytes: as of `Operation`.
    """

    name: str
    kind: str = ""
    parts: dict[str, float] = dataclasses.field(default_factory=dict)
    phases: dict[str, float] = dataclasses.field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    times: int = 0
    product_seconds: float = 0.0
    flops: float = 0.0
    useful_flops: float = 0.0
    bytes: float = 0.0

    @property
    def seconds(self) -> float:
        """The time of all of them."""
        return sum(self.phases.values())

    @property
    def speed(self) -> float:
        """The FLOP/s of products in all of their time; 0 without a product."""
        return self.flops / self.seconds if self.seconds else 0.0

    @property
    def product_rate(self) -> float:
        """The FLOP/s of the products in the products' own time; 0 without a product."""
        return self.flops / self.product_seconds if self.product_seconds else 0.0

    @property
    def bandwidth(self) -> float:
        """The bytes per second that are read and written."""
        return self.bytes / self.seconds if self.seconds else 0.0

    def add(self, operation: Operation) -> None:
        """Adds an operation."""
        phase = BACKWARD if operation.phase == RECOMPUTE else operation.phase
        self.phases[phase] += operation.seconds
        self.parts[operation.part] = self.parts.get(operation.part, 0.0) + operation.seconds
        self.times += operation.times
        self.product_seconds += operation.seconds if operation.flops else 0.0
        self.flops += operation.flops
        self.useful_flops += operation.useful_flops
        self.bytes += operation.bytes


def by_kind(profile: Profile) -> list[Row]:
    """Returns a row for each type of operation, most time first."""
    return _sorted(_collect(profile.operations, lambda o: o.kind, lambda o: Row(o.kind)))


def by_part(profile: Profile) -> list[Row]:
    """Returns a row for each layer and other part of the model that ran, in its order."""
    found = _collect(
        profile.operations,
        lambda o: o.part,
        lambda o: Row(o.part, profile.classes.get(o.part, "")),
    )
    rows = {row.name: row for row in found}
    return [rows[part] for part in profile.parts if part in rows]


def by_layer(profile: Profile) -> list[Row]:
    """Returns the rows of `by_part`, equal layers of several blocks together."""
    flops = {row.name: row.useful_flops for row in by_part(profile)}
    parts = [part for part in profile.parts if part in flops]
    owner = {
        part: (groups.name_of(equal), profile.classes.get(equal[0], ""))
        for equal in groups.equal_parts(parts, lambda part: (flops[part],))
        for part in equal
    }
    found = _collect(profile.operations, lambda o: owner[o.part], lambda o: Row(*owner[o.part]))
    places = {name: place for place, name in enumerate(dict.fromkeys(owner.values()))}
    return sorted(found, key=lambda row: places[row.name, row.kind])


def by_form(profile: Profile) -> list[Row]:
    """Returns a row for equal operations of one phase and class of layers, most time first.

    Its name says where and in which phase, and what they are applied to.
    """

    def where(operation: Operation) -> str:
        part = profile.classes.get(operation.part, operation.part)
        return f"{part}, {operation.phase}"

    def key(operation: Operation) -> Hashable:
        return where(operation), operation.kind, operation.form

    def row(operation: Operation) -> Row:
        return Row(f"{where(operation)}: {operation.form}", operation.kind)

    return _sorted(_collect(profile.operations, key, row))


def _collect(
    operations: Iterable[Operation],
    key: Callable[[Operation], Hashable],
    new: Callable[[Operation], Row],
) -> list[Row]:
    rows: dict[Hashable, Row] = {}
    for operation in operations:
        rows.setdefault(key(operation), new(operation)).add(operation)
    return list(rows.values())


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.seconds)
