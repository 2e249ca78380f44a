"""Sets of groups whose losses may be compared: one text, one protocol, one unit."""

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence

from primer.errors import UsageError
from primer.evaluation import report
from primer.evaluation.paired import difference
from primer.experiments.report import seeds
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
        title: the task, split and protocol.
        unit: the key of the loss in a row: "nats_per_token", or "bits_per_byte" where the token
            ids differ.
        how: how the text was cut, and how much of it there is.
        baseline: the name of the contender that the others are compared with.
        contenders: in the order of the groups.
        reason: why it stands apart from the first section; "" for the first one.
        left_out: sentences on groups of which all runs were stopped as hopeless.
    """

    title: str
    unit: str
    how: str
    baseline: str
    contenders: Sequence[Contender]
    reason: str
    left_out: Sequence[str] = ()


def build(groups: Sequence[Group], baseline: str | None) -> list[Section]:
    """Returns the sections of a report, with p-values adjusted over all of them.

    Args:
        groups: all groups.
        baseline: the name of a group that all others are to be compared with; None for the first
            group of each section.

    Raises:
        UsageError: no group has this name; or a group has no result that may be compared with it.
    """
    _check_baseline(groups, baseline)
    sets: dict[tuple, dict[str, list[Curve]]] = {}
    for group in groups:
        for run in group.runs:
            for points in run.evaluations:
                own = sets.setdefault(_key(points[-1].row), {})
                own.setdefault(group.name, []).append(Curve(run, points))
    if baseline is not None:
        sets = _with_baseline(sets, baseline, groups)
    sets = {key: own for key, own in sets.items() if _counted(own)}
    if not sets:
        raise UsageError("all runs with results were stopped as hopeless: nothing to compare")
    first = next(iter(sets.values()))
    return _adjusted([_section(own, first, baseline) for own in sets.values()])


def _check_baseline(groups: Sequence[Group], baseline: str | None) -> None:
    names = [group.name for group in groups]
    if baseline is not None and baseline not in names:
        close = difflib.get_close_matches(baseline, names, n=3, cutoff=0.4) or names[:5]
        raise UsageError(
            f"--baseline {baseline}: no group of runs has this name; expected one as "
            + ", ".join(close)
        )


def _key(row: Row) -> tuple:
    """Returns what rows that may be compared have in common."""
    text = tuple(row.get(key) for key in report.TEXT_COUNTS)
    if not all(isinstance(count, int) for count in text):  # A data set of token ids.
        text = (row["text_checksum"],)
    kept = ("task", "split", "protocol", "window", "not_as_trained")
    return (*(row.get(key) for key in kept), report.activation_dtype(row), text)


def _with_baseline(
    sets: Mapping[tuple, dict[str, list[Curve]]], baseline: str, groups: Sequence[Group]
) -> dict[tuple, dict[str, list[Curve]]]:
    """Returns the sets that have the baseline; refuses groups that are in none of them."""
    kept = {key: own for key, own in sets.items() if baseline in _counted(own)}
    if not kept and any(baseline in own for own in sets.values()):
        raise UsageError(f"--baseline {baseline}: all its runs were stopped as hopeless")
    if not kept:
        directory = next(group for group in groups if group.name == baseline).runs[0].model_dir
        raise UsageError(
            f"--baseline {baseline} has no result yet: primer eval --model_dir {directory}"
        )
    compared = {name for own in kept.values() for name in own}
    for own in sets.values():
        for name, curves in own.items():
            if name not in compared:
                row, base = curves[0].last.row, next(iter(kept.values()))[baseline][0].last.row
                raise UsageError(
                    f"{name} cannot be compared with the baseline {baseline}: "
                    f"{why_apart(row, base)}; evaluate both alike (primer eval --protocol, "
                    "--split), leave it out, or leave out --baseline, which shows them apart"
                )
    return kept


def why_apart(row: Row, base: Row) -> str:
    """Returns the reason why two rows are not compared: "the split is test and validation"."""
    found = report.find_difference([base, row])
    if found:
        return found
    for key in ("task", "window", "not_as_trained"):
        if row.get(key) != base.get(key):
            values = " and ".join(str(one.get(key) or "none") for one in (base, row))
            return f"the {key.replace('_', ' ')} is {values}"
    return "their texts differ"


def _counted(own: Mapping[str, Sequence[Curve]]) -> dict[str, list[Curve]]:
    """Returns the runs that were not stopped as hopeless, of the groups that have any."""
    found = {name: [c for c in curves if c.run.hopeless is None] for name, curves in own.items()}
    return {name: curves for name, curves in found.items() if curves}


def _section(
    own: Mapping[str, Sequence[Curve]], first: Mapping[str, Sequence[Curve]], baseline: str | None
) -> Section:
    counted = _counted(own)
    base = baseline if baseline is not None and baseline in counted else next(iter(counted))
    rows = [curve.last.row for curves in counted.values() for curve in curves]
    unit = difference.common_unit(rows)
    row, apart = rows[0], "" if own is first else why_apart(rows[0], _row_of(first))
    base_finals = _finals(counted[base])[0]
    amount = report.describe_counts(row) if unit == difference.NATS_PER_TOKEN else _bytes(row)
    return Section(
        f"{row.get('task')}, {row.get('split')} split, protocol {row['protocol']}",
        unit,
        f"{row['how']} {amount}",
        base,
        [_contender(n, own[n], unit, None if n == base else base_finals) for n in counted],
        apart,
        [_left_out(name, curves) for name, curves in own.items() if name not in counted],
    )


def _row_of(own: Mapping[str, Sequence[Curve]]) -> Row:
    return next(iter(own.values()))[0].last.row


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
