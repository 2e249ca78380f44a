"""The rungs of a ladder: the models of each size, and the settings that follow by a rule."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from primer.common import checks
from primer.errors import UsageError
from primer.experiments.ladders import changes as all_changes
from primer.experiments.ladders import rules
from primer.experiments.ladders.changes import BASE, Change
from primer.experiments.ladders.counting import Count
from primer.experiments.ladders.sizes import Size
from primer.experiments.sweeps import run_settings
from primer.gin_config import config_files, statements
from primer.launch import composed_files, train


@dataclasses.dataclass(frozen=True)
class Request:
    """What a ladder is asked for.

    Attributes:
        settings: {key: value} of the settings that all runs share, as in a sweep's file, with
            "architecture", "activation", "size", "optimizer" and "schedule".
        changes: the changes, `changes.BASE` first.
        sizes: the sizes, the smallest first.
        tokens_per_parameter: the tokens of training for each of the N parameters.
        rule: a name of `rules.NAMES`.
        learning_rate: the rate at the rule's reference, or None for the rule's own.
        rates: those that `rules.SWEEP` tries at the smallest size; empty for five around OLMo's.
        has_own_schedule: whether the schedule is the rule's.
        seeds: the seeds of every model.
        evaluations: how often each run is evaluated.
    """

    settings: Mapping[str, Any]
    changes: Sequence[Change]
    sizes: Sequence[Size]
    tokens_per_parameter: float
    rule: str
    learning_rate: float | None
    rates: Sequence[float]
    has_own_schedule: bool
    seeds: Sequence[int]
    evaluations: int


@dataclasses.dataclass(frozen=True)
class Rung:
    """A size of a ladder.

    Attributes:
        size: the size.
        counts: {label of a change: the count of the model with it}.
        learning_rates: {label of a change: its highest rate}.
        rows: the rows of a batch.
        steps: the steps of training.
        settings: further settings, as in a sweep's file.
    """

    size: Size
    counts: Mapping[str, Count]
    learning_rates: Mapping[str, float]
    rows: int
    steps: int
    settings: Mapping[str, Any]

    @property
    def base(self) -> Count:
        """The count of the model without a change."""
        return self.counts[BASE]

    @property
    def batch_tokens(self) -> int:
        """The tokens of a batch."""
        return self.rows * self.base.length

    @property
    def tokens(self) -> int:
        """The tokens of training of each run."""
        return self.steps * self.batch_tokens


def commands(request: Request) -> dict[tuple[int, str], list[str]]:
    """Returns {(depth, label of a change): arguments of `t5_mesh_transformer`} of all models.

    The rule's reference is among them.

    Raises:
        UsageError: a setting is illegal, or a change names an unknown slot.
    """
    found = {}
    for size in request.sizes:
        for change in request.changes:
            found[size.depth, change.label] = _command(request, size.depth, change)
    reference = rules.RULES[request.rule].reference_depth
    if reference is not None:
        found[reference, BASE] = _command(request, reference, request.changes[0])
    return found


def _command(request: Request, depth: int, change: Change) -> list[str]:
    own = {"gin.depth": depth, "gin_param": list(change.lines)}
    settings = run_settings.merged(request.settings, own)
    arguments = train.engine_arguments(run_settings.training_run(settings, "ladder"))
    all_changes.require_slots(change, arguments)
    return arguments


def build(request: Request, counts: Mapping[tuple[int, str], Count]) -> list[Rung]:
    """Returns the rungs, the smallest first.

    Args:
        request: the ladder.
        counts: {(depth, label of a change): count} of the models of `commands`.

    Raises:
        UsageError: the tokens of a size do not make a step.
    """
    return [_rung(request, size, counts) for size in request.sizes]


def _rung(request: Request, size: Size, counts: Mapping[tuple[int, str], Count]) -> Rung:
    rule = rules.RULES[request.rule]
    own = {change.label: counts[size.depth, change.label] for change in request.changes}
    base = own[BASE]
    basis = _basis(request, base.n, counts)
    rows = rows_of(rule.batch_tokens(basis), base)
    tokens = request.tokens_per_parameter * base.n
    steps = round(tokens / (rows * base.length))
    if steps < 1:
        raise UsageError(
            f"--tokens_per_parameter = {request.tokens_per_parameter!r}: the size {size.label} "
            f"would train on {tokens:,.0f} tokens, and a batch has {rows * base.length:,}"
        )
    rates = dict.fromkeys(own, rule.learning_rate(basis))
    return Rung(size, own, rates, rows, steps, rule.settings(basis, steps))


def rows_of(batch_tokens: float, count: Count) -> int:
    """Returns the rows of a batch: whole microbatches where it has one, else whole rows.

    Mesh-TensorFlow divides the rows into equal microbatches: a prime number into single rows.

    Args:
        batch_tokens: the tokens of a batch by the rule.
        count: of the model.
    """
    rows = batch_tokens / count.length
    unit = count.microbatch_rows if rows >= count.microbatch_rows else 1
    return max(unit * round(rows / unit), 1)


def _basis(request: Request, n: int, counts: Mapping[tuple[int, str], Count]) -> rules.Basis:
    depth = rules.RULES[request.rule].reference_depth
    schedule, optimizer = request.settings["schedule"], request.settings["optimizer"]
    (schedule_file,) = train.optimization_files(None, schedule)
    (optimizer_file,) = train.optimization_files(optimizer, None)
    return rules.Basis(
        n,
        request.tokens_per_parameter,
        counts[depth, BASE].n if depth is not None else 0,
        request.learning_rate,
        statements.macros_set(os.path.join(config_files.gin_directory(), optimizer_file)),
        "warmup_steps" in composed_files.macros_set([schedule_file]),
        optimizer,
        request.has_own_schedule,
    )


def with_rates(rungs: Sequence[Rung], best: Mapping[str, float]) -> list[Rung]:
    """Returns the rungs with the rates that were best at the first one, carried by OLMo's exponent.

    Args:
        rungs: the rungs.
        best: {label of a change: the best rate at the smallest size}.
    """
    first = rungs[0].base.n
    return [
        dataclasses.replace(
            rung,
            learning_rates={
                label: rules.rounded(rate * (rung.base.n / first) ** (-1 / 3))
                for label, rate in best.items()
            },
        )
        for rung in rungs
    ]


def tried_rates(request: Request, rungs: Sequence[Rung]) -> list[float]:
    """Returns the rates that `rules.SWEEP` tries at the smallest size, in ascending order."""
    if request.rates:
        return sorted(request.rates)
    middle = rungs[0].learning_rates[BASE]
    return [rules.rounded(middle * factor) for factor in (0.25, 0.5, 1, 2, 4)]


def evaluate_every(request: Request, rung: Rung) -> int:
    """Returns the steps between two evaluations; the last step is always evaluated."""
    return math.ceil(rung.steps / checks.whole_number("--evaluations", request.evaluations))
