"""What to change in a plan that does not fit; each change is planned.

Recomputation, microbatches, another layout, a larger axis; of a run also smaller batches.
"""

from collections.abc import Callable, Iterator, Mapping

from primer.errors import UsageError
from primer.gin_config.values import configured
from primer.planning.layouts import candidates
from primer.planning.plans.plan import Changes, Plan
from primer.planning.plans.planner import RECOMPUTED, TOKENS_PER_MICROBATCH, Planner

# Changes that are planned at most: each takes as long as the plan itself.
MOST = 6
# Doublings of an axis that are tried, where nothing fits on as many devices as there are.
DOUBLINGS = 3


def suggestions(
    planner: Planner, plan: Plan, say: Callable[[str], None] = lambda text: None
) -> list[Plan]:
    """Returns plans with changes, those that fit first and then by time.

    Args:
        planner: makes the plans.
        plan: the plan that does not fit.
        say: gets a line for each change before it is planned.
    """
    found: list[Plan] = []
    for name, mesh, layout, changes in _changes(planner, plan):
        if len(found) == MOST:
            break
        say(name)
        try:
            found.append(planner.plan(name, mesh, layout, changes))
        except UsageError:
            continue  # The change does not suit this model: a size that does not divide.
    if not plan.chip.shares_host:  # More devices of one machine have no more memory.
        found += _larger_axes(planner, plan, found, say)
    return sorted(found, key=Plan.rank)


def _changes(
    planner: Planner, plan: Plan
) -> Iterator[tuple[str, Mapping[str, int], Mapping[str, str], Changes]]:
    """Yields (name, mesh, layout, changed settings) on as many devices."""
    held = sum(plan.program.memory.variables.values())
    if held < plan.capacity:  # Else the weights alone do not fit.
        for name, changes in _settings(plan):
            yield name, plan.mesh, plan.layout, changes
    if plan.program.devices == 1:
        return
    dimensions = planner.dimensions()
    now = candidates.effective(plan.layout, plan.mesh, dimensions)
    for name, layout in candidates.layouts(list(plan.mesh)[:2], dimensions):
        if layout == now:
            continue
        yield f"the layout {name}", plan.mesh, layout, {}
        if not plan.program.recomputes:
            yield f"the layout {name}, recomputation", plan.mesh, layout, RECOMPUTED


def _settings(plan: Plan) -> Iterator[tuple[str, Changes]]:
    """Yields (name, changes) of settings that need less memory for activations."""
    smallest = _row_of_tokens(plan)
    if not plan.program.recomputes:
        yield "recomputation", RECOMPUTED
    if smallest is not None:
        yield "microbatches of one row", {TOKENS_PER_MICROBATCH: smallest}
        if not plan.program.recomputes:
            name = "recomputation and microbatches of one row"
            yield name, {**RECOMPUTED, TOKENS_PER_MICROBATCH: smallest}


def _row_of_tokens(plan: Plan) -> int | None:
    """Returns the tokens of one row; None if microbatches have one row on each device already."""
    length = plan.program.batch["length"]
    axis = plan.layout.get("batch")
    rows = plan.program.batch["batch"] // (plan.mesh.get(axis, 1) if axis else 1)
    now = configured(".".join(TOKENS_PER_MICROBATCH), None)
    rows_now = rows if now is None else min(rows, max(now // length, 1))
    return length if rows_now > 1 else None


def _larger_axes(
    planner: Planner, plan: Plan, found: list[Plan], say: Callable[[str], None]
) -> Iterator[Plan]:
    """Yields plans on more devices: an axis twice as large, and again until one fits."""
    recomputes = RECOMPUTED if not plan.program.recomputes else {}
    doublings = DOUBLINGS
    if any(other.fits for other in found):
        recomputes, doublings = {}, 1
    for axis in reversed(list(plan.mesh)):
        mesh = dict(plan.mesh)
        for _ in range(doublings):
            mesh[axis] *= 2
            name = f"{mesh[axis]} devices along {axis}" + (", recomputation" if recomputes else "")
            say(name)
            try:
                larger = planner.plan(name, mesh, plan.layout, recomputes)
            except UsageError:
                break
            yield larger
            if larger.fits:
                break
