"""What a report has: its sections, and the settings in which the groups of runs differ."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from primer.errors import UsageError
from primer.experiments.report import (
    directories,
    groups,
    runs,
    sections,
    settings,
)
from primer.experiments.report.analyses import rates, routers, scaling, training
from primer.experiments.report.analyses.part import Part
from primer.experiments.report.runs import Run
from primer.experiments.report.sections import Section
from primer.experiments.report.speedups import speedup_table


@dataclasses.dataclass(frozen=True)
class Report:
    """The contents of a report.

    Attributes:
        sections: sets of contenders whose losses may be compared.
        speedups: of each section, the rows of `speedup_table.rows`: thousands of draws.
        parts: of each section, what it says of families of groups, of training and of routers.
        joined: where sizes have baselines of their own, what is said of all sizes of one text
            together: the sections and the parts of each.
        settings: {setting: {group: value}} of those that are not the same in all groups.
        remarks: what a reader has to know of the report as a whole.
    """

    sections: Sequence[Section]
    speedups: Sequence[Sequence[Mapping[str, Any]]]
    parts: Sequence[Sequence[Part]]
    joined: Sequence[tuple[Section, Sequence[Part]]]
    settings: Mapping[str, Mapping[str, str]]
    remarks: Sequence[str]


def build(
    paths: Sequence[str], baseline: str | None = None, asymptote: float | None = None
) -> Report:
    """Returns the report on runs.

    Args:
        paths: as for `directories.find`.
        baseline: as for `sections.build`.
        asymptote: the pinned E of the fits over sizes, or None.

    Raises:
        UsageError: as these; there are no results; a directory that is named itself has none.
    """
    named, model_dirs = directories.find(paths)
    found = [runs.read(model_dir) for model_dir in model_dirs]
    missing = [run for run in found if not run.evaluations]
    refused = [run for run in missing if run.model_dir in named]
    if refused or len(missing) == len(found):
        _refuse(refused or missing)
    # Runs of a sweep that have not begun have no name yet.
    grouped = groups.group([run for run in found if run.evaluations or run.name])
    evaluated = [group for group in grouped if any(run.evaluations for run in group.runs)]
    compared = sections.build(grouped, baseline)
    return Report(
        compared,
        [speedup_table.rows(section) for section in compared],
        [_parts(section, asymptote) for section in compared],
        [(one, scaling.parts(one, asymptote)) for one in sections.joined(compared)],
        settings.differences(
            {g.name: g.runs[0].config for g in evaluated if g.runs[0].config is not None}
        ),
        [*_missing(missing), *_hopeless(found), *_unlike(evaluated)],
    )


def _parts(section: Section, asymptote: float | None) -> list[Part]:
    return [
        # Sizes with baselines of their own have the laws over sizes in `joined`.
        *([] if section.values else scaling.parts(section, asymptote)),
        *rates.parts(section),
        *training.parts(section),
        *routers.parts(section),
    ]


def _refuse(missing: Sequence[Run]) -> None:
    first = missing[0].model_dir
    more = f" and {len(missing) - 1} others have" if len(missing) > 1 else " has"
    words = " ".join(f"--model_dir {shlex.quote(run.model_dir)}" for run in missing)
    raise UsageError(f"{first}{more} no results of primer eval; first: primer eval {words}")


def _missing(missing: Sequence[Run]) -> list[str]:
    if not missing:
        return []
    names = ", ".join(run.model_dir + (f" ({run.state})" if run.state else "") for run in missing)
    return [f"Without results, and not in this report: {names}."]


def _hopeless(found: Sequence[Run]) -> list[str]:
    stopped = [run for run in found if run.hopeless is not None]
    if not stopped:
        return []
    names = ", ".join(f"{run.model_dir} (step {run.hopeless:,})" for run in stopped)
    return [
        "Stopped as hopeless by the rule of their sweep, and not counted: "
        f"{names}. The rule chose the runs that are counted by their losses, which makes means "
        "over them too low and intervals too narrow."
    ]


def _unlike(grouped: Sequence[groups.Group]) -> list[str]:
    """Returns a remark for each group whose runs differ in more than their seeds."""
    found = []
    for group in grouped:
        configs = {run.model_dir: run.config for run in group.runs if run.config is not None}
        names = list(settings.differences(configs))
        if names:
            found.append(f"The runs of {group.name} differ in more than the seed: {names[0]}.")
    return found
