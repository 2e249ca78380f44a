"""Groups of runs that differ in their seed alone."""

import dataclasses
import os
import re
from collections.abc import Sequence

from primer.errors import UsageError
from primer.evaluation import report
from primer.experiments.report import settings
from primer.experiments.report.runs import Run

_SEED = re.compile(r"[-_.,]?(seed|s)?[-_=]?\d+$", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs of one configuration.

    Attributes:
        name: unique in the report.
        runs: its runs, sorted by seed.
    """

    name: str
    runs: Sequence[Run]


def group(runs: Sequence[Run]) -> list[Group]:
    """Returns the groups of runs, in the order of their first runs.

    Runs of a sweep belong together if their settings there are equal but for the seed: they have
    one name. Other runs belong together if their `config.gin` are equal but for the seed and the
    directory; a run without that file is alone.

    Raises:
        UsageError: two runs are of one group and one seed.
    """
    found: dict[tuple, list[Run]] = {}
    for run in runs:
        found.setdefault(_key(run), []).append(run)
    members = list(found.values())
    for own in members:
        _check_seeds(own)
    names = _names(members)
    return [Group(name, sorted(own, key=_order)) for name, own in zip(names, members)]


def _key(run: Run) -> tuple:
    if run.name:
        return run.sweep, run.name, os.path.dirname(os.path.realpath(run.model_dir))
    if run.config is None:
        return (run.model_dir,)
    return tuple(sorted(settings.without_own(run.config).items()))


def _check_seeds(runs: Sequence[Run]) -> None:
    of_seed: dict[int, Run] = {}
    for run in runs:
        if run.seed is None:
            continue
        other = of_seed.setdefault(run.seed, run)
        if other is not run:
            raise UsageError(
                f"{other.model_dir} and {run.model_dir} have the same settings and the seed "
                f"{run.seed}: a repetition is no further seed; name one of them"
            )


def _order(run: Run) -> tuple[bool, int, str]:
    return run.seed is None, run.seed or 0, run.model_dir


def _names(members: Sequence[Sequence[Run]]) -> list[str]:
    directories = [run.model_dir for own in members for run in own if not run.name]
    short = dict(zip(directories, report.short_names(directories)))
    names = [_name(own, [short.get(run.model_dir, "") for run in own]) for own in members]
    names = _values_alone(members, names)
    for count in (1, 2):
        # Two sweeps may have runs of one name, in folders of one name.
        names = [
            _longer(own[0], name, count) if names.count(name) > 1 else name
            for own, name in zip(members, names)
        ]
    return names


def _values_alone(members: Sequence[Sequence[Run]], names: Sequence[str]) -> list[str]:
    """Returns "primer" for "architecture=primer" where all groups are of this one axis."""
    pairs = [name.split("=") for name in names]
    if all(own[0].name for own in members) and all(len(pair) == 2 for pair in pairs):
        if len({key for key, _ in pairs}) == 1:
            return [value for _, value in pairs]
    return list(names)


def _name(own: Sequence[Run], short: Sequence[str]) -> str:
    if own[0].name:
        return own[0].name
    without_seeds = {_SEED.sub("", name) for name in short}
    return without_seeds.pop() if len(own) > 1 and len(without_seeds) == 1 else short[0]


def _longer(run: Run, name: str, count: int) -> str:
    if count == 1 and run.sweep:
        return f"{run.sweep}: {name}"
    return f"{name} ({os.path.dirname(run.model_dir) if run.name else run.model_dir})"
