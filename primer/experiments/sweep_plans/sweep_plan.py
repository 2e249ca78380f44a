"""The plan of a sweep: what each run takes, what all take, and the mistakes that would end some."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from primer.errors import RunError, UsageError
from primer.experiments.sweep_plans import groups, speeds
from primer.experiments.sweeps import run_record
from primer.experiments.sweeps.expansion import SweepRun
from primer.gin_config.before_imports import check, engine_arguments
from primer.planning.machines import chips
from primer.planning.plans import training_run
from primer.planning.plans.training_run import RunPlan

if TYPE_CHECKING:
    from primer.planning.machines.chips import Chip

MEASURED, ESTIMATED = "measured", "estimated"


@dataclasses.dataclass(frozen=True)
class Machine:
    """Where the runs are planned.

    Attributes:
        chip: a value of `chips.NAMES`; `chips.CPU` is this machine.
        utilization: the share of the peak that matrix products are taken to reach.
        workers: how many runs are trained at a time.
        processors: the number of processors of one run, on this machine.
    """

    chip: str
    utilization: float
    workers: int
    processors: int


@dataclasses.dataclass(frozen=True)
class PlannedGroup:
    """Runs that differ in nothing but the seed.

    Attributes:
        name: their name without the seed.
        runs: the runs.
        plan: the plan of one of them.
        steps: the last step of each.
        tokens_per_second: of each.
        source: where the speed is from: MEASURED or ESTIMATED.
    """

    name: str
    runs: Sequence[SweepRun]
    plan: RunPlan
    steps: int
    tokens_per_second: float
    source: str

    @property
    def tokens(self) -> int:
        """The tokens that each run trains on, padding included."""
        return self.steps * self.plan.tokens_per_step

    @property
    def flops(self) -> float:
        """The FLOPs of the training of each run."""
        return self.tokens * self.plan.model.cost.training

    @property
    def seconds(self) -> float:
        """The time of the steps of each run."""
        return self.tokens / self.tokens_per_second


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """The plan of a sweep.

    Attributes:
        machine: where the runs are planned.
        groups: the runs, in the order of the sweep, but those with a mistake.
        mistakes: {name of a run: what is wrong with it and with all others of its graph}.
    """

    machine: Machine
    groups: Sequence[PlannedGroup]
    mistakes: Mapping[str, str]

    @property
    def flops(self) -> float:
        """The FLOPs of all runs."""
        return sum(group.flops * len(group.runs) for group in self.groups)

    @property
    def seconds(self) -> float:
        """The time of all runs, one after another."""
        return sum(group.seconds * len(group.runs) for group in self.groups)

    @property
    def wall_seconds(self) -> float:
        """The time of all runs with the machine's workers."""
        return self._with_workers(lambda run, group: 1.0)

    @property
    def wall_seconds_left(self) -> float:
        """The time with the machine's workers of what is not trained yet."""
        return self._with_workers(lambda run, group: speeds.share_left(run, group.steps))

    def _with_workers(self, share: Callable[[SweepRun, PlannedGroup], float]) -> float:
        pairs = [(run, group) for group in self.groups for run in group.runs]
        pairs.sort(key=lambda pair: pair[0].index)
        seconds = [group.seconds * share(run, group) for run, group in pairs]
        return speeds.with_workers(seconds, self.machine.workers)


def mistakes_in_text(runs: Sequence[SweepRun]) -> dict[str, str]:
    """Returns {name of a run: its mistake} of what the text of gin files and records show.

    It needs no TensorFlow. Of runs of one graph the first one stands for all.
    """
    found = {}
    for alike in groups.of_graphs(runs):
        try:
            for run in alike:
                run_record.check_same_run(run)
            check.check_command(alike[0].arguments)
        except UsageError as error:
            found[alike[0].name] = _with_others(str(error), alike)
    return found


def modules_of(runs: Sequence[SweepRun]) -> list[str]:
    """Returns the modules that runs import, once each."""
    found: dict[str, None] = {}
    for run in runs:
        found |= dict.fromkeys(engine_arguments.parse(run.arguments).modules)
    return list(found)


def build(
    runs: Sequence[SweepRun],
    machine: Machine,
    known: Mapping[str, str],
    say: Callable[[str], None] = lambda text: None,
) -> SweepPlan:
    """Returns the plan of a sweep; each graph is built once.

    What the runs import has to be imported (`primer.planning.plans.engine_imports`).

    Args:
        runs: the runs.
        machine: where they are planned.
        known: the value of `mistakes_in_text`: these runs are not planned.
        say: gets the name of each run before it is planned.
    """
    planned: dict[str, RunPlan] = {}
    speed: dict[str, float | None] = {}
    mistakes = dict(known)
    measured: dict[str, Chip] = {}
    for alike in groups.of_graphs(runs):
        first = alike[0]
        if first.name in known:
            continue
        say(first.name)
        try:
            plan = training_run.plan_of(
                first.arguments, machine.chip, machine.utilization, measured
            )
        except (UsageError, RunError) as error:
            mistakes[first.name] = _with_others(str(error), alike)
            continue
        is_here = machine.chip == chips.CPU
        own_speed = speeds.measured(alike, machine.processors) if is_here else None
        planned |= dict.fromkeys((run.name for run in alike), plan)
        speed |= dict.fromkeys((run.name for run in alike), own_speed)
    found = [
        _group(alike, planned[alike[0].name], speed[alike[0].name])
        for alike in groups.of_seeds(runs)
        if alike[0].name in planned
    ]
    return SweepPlan(machine, found, mistakes)


def _group(runs: Sequence[SweepRun], plan: RunPlan, measured: float | None) -> PlannedGroup:
    # Runs of one graph may have other steps than the planned one, whose text gin has read.
    steps = runs[0].settings.get("steps", plan.steps)
    source = ESTIMATED if measured is None else MEASURED
    speed = plan.tokens_per_second if measured is None else measured
    return PlannedGroup(groups.name(runs), runs, plan, steps, speed, source)


def _with_others(message: str, alike: Sequence[SweepRun]) -> str:
    message = message.splitlines()[0]
    if len(alike) == 1:
        return message
    return f"{message} (and {len(alike) - 1} more run{'s' if len(alike) > 2 else ''})"
