"""Sets of groups whose losses may be compared: one text, one protocol, one unit."""

import dataclasses
import math
from collections.abc import Sequence

from primer.errors import UsageError
from primer.evaluation import report
from primer.evaluation.paired import difference
from primer.experiments.report import baselines, comparable, seeds
from primer.experiments.report.baselines import Rivals
from primer.experiments.report.groups import Group
from primer.experiments.report.runs import Curve, Row


@dataclasses.dataclass(frozen=True)
class Contender:
    """A group of runs in one section.

    Attributes:
        name: that of the group.
        curves: one for each run that was evaluated on the section's text and protocol, but for
            those that were stopped as hopeless.
        finals: those of `curves` that the final table counts: of the most steps, or ended early.
        summary: the final losses over seeds.
        comparison: with the baseline; None for the baseline itself.
        remarks: what a reader of its numbers has to know.
        stopped: those of its runs that were stopped as hopeless: their losses are no final ones.
    """

    name: str
    curves: Sequence[Curve]
    finals: Sequence[Curve]
    summary: seeds.Summary
    comparison: seeds.Comparison | None
    remarks: Sequence[str]
    stopped: Sequence[Curve] = ()


@dataclasses.dataclass(frozen=True)
class Section:
    """Contenders whose losses may be compared.

    Attributes:
        text: the task, split and protocol.
        values: what its contenders have in common where each value has a baseline of its own, as
            "size=64"; else "".
        unit: the key of the loss in a row: "nats_per_token", or "bits_per_byte" where the token
            ids differ.
        how: how the text was cut, and how much of it there is.
        baseline: the name of the contender that the others are compared with.
        contenders: in the order of the groups.
        reason: why it stands apart from the first section; "" for the first one.
        left_out: sentences on groups of which all runs were stopped as hopeless.
    """

    text: str
    values: str
    unit: str
    how: str
    baseline: str
    contenders: Sequence[Contender]
    reason: str
    left_out: Sequence[str] = ()

    @property
    def title(self) -> str:
        """What it compares."""
        return f"{self.values}: {self.text}" if self.values else self.text


def build(groups: Sequence[Group], baseline: str | None) -> list[Section]:
    """Returns the sections of a report, with p-values adjusted over all of them.

    Args:
        groups: all groups.
        baseline: as for `baselines.of_groups`; None for the first group of each section.

    Raises:
        UsageError: as there, and as `baselines.divided`; all runs were stopped as hopeless.
    """
    sets = comparable.sets(groups)
    if baseline is None:
        firsts = [(own, next(iter(comparable.counted(own)), None)) for own in sets]
        every = [Rivals(own, first) for own, first in firsts if first]
    else:
        partners = baselines.of_groups([group.name for group in groups], baseline)
        every = baselines.divided(sets, partners, groups)
    if not every:
        raise UsageError("all runs with results were stopped as hopeless: nothing to compare")
    return _adjusted([_section(rivals, _a_row(every[0])) for rivals in every])


def joined(sections: Sequence[Section]) -> list[Section]:
    """Returns the sections of which each has the contenders of all baselines on one text.

    Their names have the values of their sections again, as "size=64,primer".
    """
    found: dict[tuple, list[Section]] = {}
    for section in sections:
        found.setdefault((section.text, section.how, section.unit), []).append(section)
    return [
        dataclasses.replace(
            own[0],
            values="",
            baseline=f"{own[0].values},{own[0].baseline}",
            contenders=[
                dataclasses.replace(c, name=f"{one.values},{c.name}")
                for one in own
                for c in one.contenders
            ],
        )
        for own in found.values()
        if len(own) > 1
    ]


def _a_row(rivals: Rivals) -> Row:
    return rivals.curves[rivals.baseline][0].last.row


def _section(rivals: Rivals, first: Row) -> Section:
    own, base = rivals.curves, rivals.baseline
    counted = comparable.counted(own)
    row = _a_row(rivals)
    unit = difference.common_unit(
        [curve.last.row for curves in counted.values() for curve in curves]
    )
    base_finals = _finals(counted[base])[0]
    amount = report.describe_counts(row) if unit == difference.NATS_PER_TOKEN else _bytes(row)
    return Section(
        f"{row.get('task')}, {row.get('split')} split, protocol {row['protocol']}",
        rivals.values,
        unit,
        f"{row['how']} {amount}",
        base,
        [_contender(n, own[n], unit, None if n == base else base_finals) for n in counted],
        comparable.why_apart(row, first),
        [_left_out(name, curves) for name, curves in own.items() if name not in counted],
    )


def _bytes(row: Row) -> str:
    return f"Over {row['bytes']:,} bytes; the tokens are those of each vocabulary."


def _left_out(name: str, curves: Sequence[Curve]) -> str:
    return f"{name}: all its runs were stopped as hopeless, and none is counted: {_steps(curves)}."


def _steps(curves: Sequence[Curve]) -> str:
    """Returns at which steps runs were stopped as hopeless."""
    return ", ".join(f"seed {c.run.seed} at step {c.run.hopeless:,}" for c in curves)


def _contender(
    name: str, evaluated: Sequence[Curve], unit: str, baseline: Sequence[Curve] | None
) -> Contender:
    stopped = [curve for curve in evaluated if curve.run.hopeless is not None]
    curves = [curve for curve in evaluated if curve.run.hopeless is None]
    finals, remarks = _finals(curves)
    if stopped:
        remarks.append(f"stopped as hopeless, and not counted: {_steps(stopped)}")
    losses = [curve.last.row[unit] for curve in finals]
    comparison = None
    if baseline is not None:
        comparison = seeds.compare(_losses(finals, unit), _losses(baseline, unit))
        remarks += [comparison.remark] if comparison.remark else []
        step, base_step = finals[0].last.step, baseline[0].last.step
        if step != base_step:
            remarks.append(f"after {step:,} steps, the baseline after {base_step:,}")
    if not all(map(math.isfinite, losses)):
        remarks.append("a final loss is not finite")
    summary = seeds.summary(losses)
    return Contender(name, curves, finals, summary, comparison, remarks, stopped)


def _losses(finals: Sequence[Curve], unit: str) -> dict[int, float]:
    """Returns {seed: final loss}; a run without a seed has no partner."""
    return {c.run.seed: c.last.row[unit] for c in finals if c.run.seed is not None}


def _finals(curves: Sequence[Curve]) -> tuple[list[Curve], list[str]]:
    """Returns the runs that a final table counts, and remarks on the others."""
    most = max(curve.last.step for curve in curves)
    finals, remarks = [], []
    for curve in curves:
        who, step = f"seed {curve.run.seed}", curve.last.step
        if curve.run.stopped_early is not None:
            remarks.append(f"{who} was stopped early at step {curve.run.stopped_early:,}")
        elif step < most:
            remarks.append(f"{who} is evaluated up to step {step:,} only and not counted")
            continue
        finals.append(curve)
    if any(curve.run.seed is None for curve in curves):
        remarks.append("a run without a seed has no partner in the baseline")
    return finals, remarks


def _adjusted(sections: Sequence[Section]) -> list[Section]:
    """Returns the sections with p-values that are adjusted over all comparisons of the page."""
    compared = [c for section in sections for c in section.contenders if c.comparison]
    found = iter(seeds.adjusted([c.comparison for c in compared if c.comparison]))
    return [
        dataclasses.replace(
            section,
            contenders=[
                dataclasses.replace(c, comparison=next(found)) if c.comparison else c
                for c in section.contenders
            ],
        )
        for section in sections
    ]
