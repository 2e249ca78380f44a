"""The order of plans, with a planner that knows its answers."""

import types

from primer.errors import UsageError
from primer.planning.plans.sweep import Sweep, sweep


def made(name, fits, seconds):
    program = types.SimpleNamespace(
        recomputes=False, memory=types.SimpleNamespace(variables={"parameters": 1})
    )
    return types.SimpleNamespace(
        name=name, fits=fits, capacity=2, program=program, rank=lambda: (not fits, seconds)
    )


class Planner:
    """Plans fit with recomputation only, and take as long as the axis is short."""

    def plan(self, name, mesh, layout, changes=None):
        if "experts" in layout:
            raise UsageError("no experts")
        return made(name, bool(changes), 100 / mesh["rows"] + bool(changes))


def test_what_does_not_fit_is_planned_with_recomputation_and_comes_last():
    meshes = [{"rows": 4}, {"rows": 2, "columns": 2}]
    lines = []
    found = sweep(Planner(), meshes, {"batch", "d_ff"}, lambda *line: lines.append(line))
    fits = [plan.fits for plan in found.plans]
    assert fits == sorted(fits, reverse=True) and sum(fits) == len(fits) / 2
    assert found.plans[0].name.endswith("recomputation") and found.plans[0].rank()[1] == 26
    assert found.devices == 4 and not found.impossible
    assert [number for number, _, _ in lines] == list(range(1, len(lines) + 1))


def test_layouts_that_are_not_possible_have_their_reason():
    found = sweep(Planner(), [{"rows": 4}], {"batch", "experts"})
    assert {reason for _, reason in found.impossible} == {"no experts"}


def test_the_place_and_the_ratio_of_another_plan():
    plans = [made("a", True, 2.0), made("b", True, 4.0), made("c", False, 1.0)]
    found = Sweep(4, plans, [])
    assert found.rank_of(made("x", True, 3.0)) == 2
    assert found.ratio_of(made("x", True, 3.0)) == 1.5
    assert found.rank_of(made("x", False, 0.5)) == 3
