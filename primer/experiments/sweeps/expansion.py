"""The runs of a sweep: their names, directories and command lines, always in the same order."""

import collections
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from primer.errors import UsageError
from primer.experiments.sweeps import run_settings
from primer.experiments.sweeps.evaluations import rule
from primer.experiments.sweeps.sweep_file import Axis, Choice, Sweep
from primer.launch import train

MOST_RUNS = 10_000
_LONGEST_NAME = 200  # File systems allow 255 bytes.


@dataclasses.dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        index: its place in the sweep, from 0.
        name: its name, as "architecture=primer,seed=1", unique in the sweep.
        model_dir: its directory.
        values: {key: value} of the axes that apply to it.
        settings: {key: value} of all its settings.
        arguments: its arguments of `t5_mesh_transformer`.
        rule: when it is hopeless, as `rule.Rule.as_dict`; None for never.
    """

    index: int
    name: str
    model_dir: str
    values: Mapping[str, Any]
    settings: Mapping[str, Any]
    arguments: Sequence[str]
    rule: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class _Row:
    """The values of a run on the axes: {key: choice}, and {name: label} of what its name has."""

    choices: Mapping[str, Choice] = dataclasses.field(default_factory=dict)
    shown: Mapping[str, str] = dataclasses.field(default_factory=dict)


def expand(sweep: Sweep) -> list[SweepRun]:
    """Returns the runs of a sweep, the values of its last axis next to each other.

    Raises:
        UsageError: a run has an unknown part or an illegal setting, or sets one twice; two runs
            have one name; there are too many.
    """
    rows = _rows(sweep)
    names = _names(sweep, rows)
    return [_run(sweep, number, name, row) for number, (name, row) in enumerate(zip(names, rows))]


def without_seed(name: str) -> str:
    """Returns the name of a run without its seed; "" if nothing is left."""
    return ",".join(part for part in name.split(",") if not part.startswith("seed="))


def _rows(sweep: Sweep) -> list[_Row]:
    rows = [_Row()]
    for axis in sweep.axes:
        rows = [longer for row in rows for longer in _extended(sweep, axis, row)]
        if len(rows) > MOST_RUNS:
            raise UsageError(f"{sweep.path}: more than {MOST_RUNS:,} runs; shorten the axes")
    return rows


def _extended(sweep: Sweep, axis: Axis, row: _Row) -> list[_Row]:
    chosen = row.choices
    if not all(key in chosen and chosen[key].label in labels for key, labels in axis.when.items()):
        return [row]
    shown = _shown(axis)
    for key in axis.keys:
        if key in chosen:
            raise UsageError(f"{sweep.path}: two axes set {key} in one run; join them, or use when")
    for name in shown[0]:
        if name in row.shown:
            raise UsageError(f"{sweep.path}: two axes are called {name} in one run")
    return [
        _Row({**chosen, **position}, {**row.shown, **labels})
        for position, labels in zip(axis.positions, shown)
    ]


def _shown(axis: Axis) -> Sequence[Mapping[str, str]]:
    """Returns what the name of a run has of each position."""
    if axis.labels is not None:
        return axis.labels
    return [{key: choice.label for key, choice in place.items()} for place in axis.positions]


def _names(sweep: Sweep, rows: Sequence[_Row]) -> list[str]:
    short = _short_keys({key for axis in sweep.axes for key in _shown(axis)[0]})
    names = [
        ",".join(f"{short[key]}={label}" for key, label in row.shown.items()) or "run"
        for row in rows
    ]
    counts = collections.Counter(names)
    for name in names:
        if counts[name] > 1:
            raise UsageError(f"{sweep.path}: two runs are called {name}: expected different ones")
        if len(name.encode()) > _LONGEST_NAME:
            raise UsageError(
                f"{sweep.path}: the name {name[:60]}... is too long for a directory; give the "
                "values short labels: {label: value}"
            )
    return names


def _short_keys(keys: set[str]) -> dict[str, str]:
    """Returns {key: its last part, or the whole binding where two end alike, safe for paths}."""
    ends = collections.Counter(key.rsplit(".", 1)[-1].rsplit("/", 1)[-1] for key in keys)
    found = {}
    for key in keys:
        end = key.rsplit(".", 1)[-1].rsplit("/", 1)[-1]
        found[key] = end if ends[end] == 1 else key.replace("/", "-")
    return found


def _run(sweep: Sweep, index: int, name: str, row: _Row) -> SweepRun:
    values = {key: choice.value for key, choice in row.choices.items()}
    settings = run_settings.merged(sweep.fixed, values)
    model_dir = os.path.join(sweep.output, name)
    try:
        arguments = train.engine_arguments(run_settings.training_run(settings, model_dir))
        run_settings.check_slots(settings, arguments)
        rule.check_settings(sweep.stop_hopeless, settings)
    except UsageError as error:
        raise UsageError(f"{sweep.path}: {name}: {error}") from error
    except SyntaxError as error:
        raise UsageError(f"{sweep.path}: {name}: not a gin file: {error}") from error
    stop = sweep.stop_hopeless.as_dict() if sweep.stop_hopeless else None
    return SweepRun(index, name, model_dir, values, settings, arguments, stop)
