"""The output of `primer sweep plan`: a table with totals for the terminal, or the same as data."""

from collections.abc import Mapping, Sequence
from typing import Any

from primer.common import console
from primer.common.terminal import tables
from primer.experiments.sweep_plans.sweep_plan import MEASURED, PlannedGroup, SweepPlan
from primer.experiments.sweeps import run_record
from primer.experiments.sweeps.expansion import SweepRun
from primer.planning.machines import chips

_COLUMNS = ("#", "run", "runs", "parameters", "steps", "tokens", "FLOPs", "memory", "tokens/s")


def as_data(plan: SweepPlan) -> dict[str, Any]:
    """Returns a plan as data for JSON."""
    return {
        "groups": [_group_data(group) for group in plan.groups],
        "mistakes": dict(plan.mistakes),
        "chip": plan.machine.chip,
        "workers": plan.machine.workers,
        "processors_per_run": plan.machine.processors,
        "training_flops": plan.flops,
        "hours": plan.seconds / 3600,
        "wall_hours": plan.wall_seconds / 3600,
        "wall_hours_left": plan.wall_seconds_left / 3600,
    }


def _group_data(group: PlannedGroup) -> dict[str, Any]:
    model = group.plan.model
    return {
        "name": group.name,
        "runs": [run.name for run in group.runs],
        "indices": [run.index for run in group.runs],
        "states": [run_record.state_of(run) for run in group.runs],
        **model.cost.as_result(),
        "vocabulary_size": model.vocabulary_size,
        "length": model.length,
        "tokens_per_step": group.plan.tokens_per_step,
        "steps": group.steps,
        "tokens": group.tokens,
        "training_flops": group.flops,
        "peak_bytes": group.plan.peak,
        "tokens_per_second": group.tokens_per_second,
        "speed": group.source,
        "hours": group.seconds / 3600,
    }


def print_plan(title: str, plan: SweepPlan) -> None:
    """Prints a plan of one or more groups on standard output."""
    output = tables.console()
    output.print(_table(title, plan.groups))
    for sentence in _sentences(plan):
        output.print(sentence, soft_wrap=True)


def say_mistakes(mistakes: Mapping[str, str]) -> None:
    """Prints {name of a run: its mistake} on standard error, a line each."""
    for name, message in mistakes.items():
        console.say(f"primer: {name}: {message}")


def _table(title: str, found: Sequence[PlannedGroup]):
    result = tables.table(title, *_COLUMNS, "time", "speed", words=("run", "speed"))
    for group in found:
        result.add_row(
            _indices(group.runs),
            group.name,
            str(len(group.runs)),
            f"{group.plan.model.cost.parameters.total:,}",
            f"{group.steps:,}",
            f"{group.tokens:,}",
            tables.flops(group.flops),
            tables.size(group.plan.peak),
            f"{group.tokens_per_second:,.0f}",
            duration(group.seconds),
            group.source,
        )
    return result


def _indices(runs: Sequence[SweepRun]) -> str:
    numbers = [run.index for run in runs]
    is_range = numbers == list(range(numbers[0], numbers[-1] + 1))
    if len(numbers) > 1 and is_range:
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))


def _sentences(plan: SweepPlan) -> list[str]:
    machine, count = plan.machine, sum(len(group.runs) for group in plan.groups)
    found = [
        f"{count} run{'s' * (count != 1)}: {tables.flops(plan.flops)} FLOPs, "
        f"{duration(plan.seconds)} one after another, "
        f"{duration(plan.wall_seconds)} with --workers {machine.workers}."
    ]
    if plan.wall_seconds_left < plan.wall_seconds:
        found.append(f"Left to train: {duration(plan.wall_seconds_left)}.")
    return [*found, *_about_speeds(plan), *_about_memory(plan)]


def _about_speeds(plan: SweepPlan) -> list[str]:
    sources = {group.source for group in plan.groups}
    found = []
    if MEASURED in sources:
        found.append(
            f"measured: the median of this sweep's runs of the same graph on "
            f"{_processors(plan)}, validations included."
        )
    if sources - {MEASURED}:
        is_cpu = plan.machine.chip == chips.CPU
        where = (
            f"{_processors(plan)} of this machine, measured now: steps take 1.1 to 2 times as long"
        )
        found.append(
            f"estimated: as `primer plan` does, for {where if is_cpu else plan.machine.chip}; "
            "validations are not in it."
        )
    return [*found, "Times are of the steps; the start of a run takes about half a minute more."]


def _processors(plan: SweepPlan) -> str:
    count = plan.machine.processors
    return f"{count} processor{'s' if count > 1 else ''}"


def _about_memory(plan: SweepPlan) -> list[str]:
    machine = plan.machine
    most = sorted((g.plan.peak for g in plan.groups for _ in g.runs), reverse=True)
    side_by_side = sum(most[: machine.workers])
    capacity = min(group.plan.capacity for group in plan.groups)
    if machine.chip == chips.CPU and side_by_side > capacity:
        return [
            f"{machine.workers} runs may need {tables.size(side_by_side)} at once; this machine "
            f"has {tables.size(capacity)}: set fewer --workers, smaller batches or recompute."
        ]
    too_large = [group.name for group in plan.groups if group.plan.peak > group.plan.capacity]
    if machine.chip != chips.CPU and too_large:
        return [f"Too large for {machine.chip}, {tables.size(capacity)}: {', '.join(too_large)}."]
    return []


def duration(seconds: float) -> str:
    """Returns a time as text, in hours, minutes or seconds."""
    for unit, size in (("hours", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.3g} {unit}"
    return f"{seconds:.0f} s"
