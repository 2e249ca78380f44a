"""Everything that `primer plan` reports of a run."""

import dataclasses
from collections.abc import Callable, Mapping

from primer.errors import UsageError
from primer.planning.device_program.program import DeviceProgram
from primer.planning.plans import plan as plans
from primer.planning.plans import suggestions as changes
from primer.planning.plans.plan import Budget, Plan
from primer.planning.plans.planner import NOT_RECOMPUTED, RECOMPUTED, Planner, batch_held
from primer.planning.plans.sweep import Sweep


@dataclasses.dataclass
class Report:
    """A report.

    Attributes:
        plan: the plan of the run as it is set.
        other: the same with recomputation if the run has none, else without; None where layers
            cannot be recomputed.
        evaluation: the program of evaluation on one device.
        budget: what a number of tokens takes, if one is given.
        suggestions: plans with changes, if the run does not fit.
        sweep: a search, if one is asked for.
        automatic: the plan of auto_mtf's layout, if it is asked for.
    """

    plan: Plan
    other: Plan | None = None
    evaluation: DeviceProgram | None = None
    budget: Budget | None = None
    suggestions: list[Plan] = dataclasses.field(default_factory=list)
    sweep: Sweep | None = None
    automatic: Plan | None = None


def report_of(
    planner: Planner,
    mesh: Mapping[str, int],
    layout: Mapping[str, str],
    tokens: float | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Returns the report of a run, without a search.

    Args:
        planner: makes the plans.
        mesh: {axis: size}.
        layout: {dimension: axis}.
        tokens: a number of tokens to train on.
        say: gets a line for each plan before it is made.

    Raises:
        UsageError: the model cannot be built, or the layout does not fit it.
    """
    say("training")
    plan = planner.plan("as set", mesh, layout)
    recomputes = not plan.program.recomputes
    name = "recomputation" if recomputes else "without recomputation"
    say(name)
    try:
        other = planner.plan(name, mesh, layout, RECOMPUTED if recomputes else NOT_RECOMPUTED)
    except UsageError:
        other = None  # Layers that cannot be recomputed.
    say("evaluation")
    evaluation = planner.program(mesh, layout, mode="eval")
    report = Report(plan, other, evaluation)
    report.budget = None if tokens is None else plans.budget(plan, tokens)
    if not plan.fits:
        with batch_held(plan.rows):
            report.suggestions = changes.suggestions(planner, plan, say)
    return report
