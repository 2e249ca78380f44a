"""Plans of a run on all meshes of a number of devices, with all layouts worth a look."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from primer.errors import UsageError
from primer.planning.layouts import candidates, checks
from primer.planning.plans.plan import Plan
from primer.planning.plans.planner import RECOMPUTED, Planner


@dataclasses.dataclass
class Sweep:
    """The result of a search.

    Attributes:
        devices: the number of devices.
        plans: those that can be lowered: first those that fit, each by the time of a token.
        impossible: [(mesh and layout, reason)] of the others.
    """

    devices: int
    plans: list[Plan]
    impossible: list[tuple[str, str]]

    def rank_of(self, plan: Plan) -> int:
        """Returns the place that a plan has or would have among them, from 1."""
        return 1 + sum(other.rank() < plan.rank() for other in self.plans)

    def ratio_of(self, plan: Plan) -> float:
        """Returns the time of a token of a plan over that of the best one."""
        best = min(self.plans, key=lambda other: other.rank())
        return plan.rank()[1] / best.rank()[1]


def sweep(
    planner: Planner,
    meshes: Iterable[Mapping[str, int]],
    dimensions: Set[str],
    say: Callable[[int, int, str], None] = lambda number, total, text: None,
    check: Callable[[Mapping[str, int], Mapping[str, str]], None] = lambda mesh, layout: None,
) -> Sweep:
    """Plans every layout on every mesh, and again with recomputation where it does not fit.

    Args:
        planner: makes the plans.
        meshes: the meshes, of as many devices each.
        dimensions: the dimensions of the model.
        say: gets the number of the plan, that of all plans and its name, before each.
        check: raises UsageError for a mesh and a layout that do not fit the model.
    """
    pairs = [
        (name, mesh, layout)
        for mesh in meshes
        for name, layout in candidates.layouts(list(mesh), dimensions)
    ]
    plans: list[Plan] = []
    impossible: list[tuple[str, str]] = []
    for number, (name, mesh, layout) in enumerate(pairs, 1):
        say(number, len(pairs), f"{name}: {checks.describe(mesh, layout)}")
        try:
            check(mesh, layout)
            plans += _plans(planner, name, mesh, layout)
        except UsageError as error:
            impossible.append((checks.describe(mesh, layout), str(error)))
    devices = candidates.size(dict(pairs[0][1])) if pairs else 1
    return Sweep(devices, sorted(plans, key=lambda plan: plan.rank()), impossible)


def _plans(
    planner: Planner, name: str, mesh: Mapping[str, int], layout: Mapping[str, str]
) -> Sequence[Plan]:
    plan = planner.plan(name, mesh, layout)
    held = sum(plan.program.memory.variables.values())
    if plan.fits or plan.program.recomputes or held > plan.capacity:
        return [plan]
    return [plan, planner.plan(f"{name}, recomputation", mesh, layout, RECOMPUTED)]
