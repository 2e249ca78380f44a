"""Which running runs are hopeless, by the losses that the runs of a sweep had at equal steps."""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from primer.common import checks
from primer.evaluation import report
from primer.evaluation.stored.result_lines import Row
from primer.experiments.sweeps.evaluations import losses
from primer.experiments.sweeps.evaluations.rule import Rule
from primer.experiments.sweeps.evaluations.schedule import LOOK_SECONDS, Messages
from primer.experiments.sweeps.expansion import SweepRun
from primer.experiments.sweeps.run_process import RunProcess

# What losses that are compared have in common.
_MEASURE = ("task", "split", "protocol", "window", "text_checksum")
_SPLIT = "validation"

Losses = dict[tuple, dict[int, float]]  # Measure -> {step: nats per token}.


class HopelessRuns:
    """Stops the hopeless runs of a sweep.

    Args:
        rule: when a run is hopeless; None for never.
        runs: all runs of the sweep.
        messages: shows what happens.
    """

    def __init__(self, rule: Rule | None, runs: Sequence[SweepRun], messages: Messages) -> None:
        self._rule = rule
        self._runs = runs
        self._messages = messages
        self._next_look = 0.0
        self._failed: set[str] = set()  # Names of runs whose verdict could not be recorded.

    def stop(self, training: Sequence[RunProcess]) -> None:
        """Stops those of the runs that are being trained, at most once in LOOK_SECONDS."""
        if self._rule is None or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        asked = {one.run.name: one for one in training if not one.is_hopeless}
        verdicts = find(self._rule, [one.run for one in asked.values()], self._runs)
        for name in verdicts.keys() - self._failed:
            try:
                asked[name].stop_hopeless(verdicts[name])
                self._messages.say(f"{name}: {describe(verdicts[name])}; it stops")
            except OSError as error:
                self._failed.add(name)
                self._messages.say(f"{name}: hopeless, and goes on: {error}")


def find(
    rule: Rule, training: Sequence[SweepRun], runs: Sequence[SweepRun]
) -> dict[str, dict[str, Any]]:
    """Returns the hopeless ones of the runs that are being trained.

    Of the steps at which enough other runs have a loss the run's latest one counts. Runs that were
    stopped as hopeless count among the others: without them the median would fall each time that
    one is stopped.

    Args:
        rule: the rule.
        training: the runs in question.
        runs: all runs of the sweep.

    Returns:
        {name: {"step", "loss" and "median" of the others in nats per token, "runs": their number,
        "rule"}}.
    """
    measured = {run.name: _losses(run) for run in runs}
    found = {}
    for run in training:
        like = [one for one in runs if one.name != run.name and _is_like(rule, run, one)]
        verdict = _verdict(rule, run, measured[run.name], [measured[one.name] for one in like])
        if verdict is not None:
            found[run.name] = verdict
    return found


def _verdict(
    rule: Rule, run: SweepRun, own: Losses, others: Sequence[Losses]
) -> dict[str, Any] | None:
    goal = run.settings.get("steps") or math.inf  # There a run ends anyway.
    found: list[tuple[int, int, float, float]] = []
    for measure, by_step in own.items():
        for step, loss in by_step.items():
            values = [o[measure][step] for o in others if step in o.get(measure, {})]
            if rule.after <= step < goal and len(values) >= rule.least:
                found.append((step, len(values), loss, statistics.median(values)))
    if not found:
        return None
    # Where a split was measured by several protocols, the one that most runs have.
    step, count, loss, median = max(found, key=lambda one: one[:2])
    if loss <= median + rule.margin:
        return None
    return {
        "step": step,
        "loss": loss if math.isfinite(loss) else str(loss),
        "median": median if math.isfinite(median) else str(median),
        "runs": count,
        "rule": rule.as_dict(),
    }


def _is_like(rule: Rule, run: SweepRun, other: SweepRun) -> bool:
    return all(run.settings.get(key) == other.settings.get(key) for key in rule.among)


def _losses(run: SweepRun) -> Losses:
    found: Losses = {}
    for rows in losses.read(run.model_dir):
        for row in filter(_counts, rows):
            key = tuple(row.get(name) for name in _MEASURE)
            loss = row["nats_per_token"]
            # A loss that is not finite is worse than any other.
            found.setdefault(key, {})[row["step"]] = loss if math.isfinite(loss) else math.inf
    return found


def _counts(row: Row) -> bool:
    is_own = report.activation_dtype(row) == report.FLOAT32 and not row.get("not_as_trained")
    return row.get("split") == _SPLIT and is_own and checks.is_number(row.get("nats_per_token"))


def describe(found: Mapping[str, Any]) -> str:
    """Returns a verdict as text, for messages."""
    return (
        f"hopeless at step {found['step']:,}: loss {float(found['loss']):.4f}, median of "
        f"{found['runs']} others {float(found['median']):.4f}"
    )
