"""The file of a sweep: what all runs share, and the axes along which they differ.

name: rates                      # default: the file's name
output: runs/rates               # the folder of all runs; from the file's folder on
run: {architecture: primer_ez, activation: squared_relu, size: tiny, task: sotu, steps: 100}
axes:                            # crossed; the first one varies slowest
  - learning_rate: [1e-3, 3e-3]
  - gin.attention: {mha: "@SelfAttention", mdha: "@MDHA"}      # {label: value}
  - zip: {gin.num_layers: [2, 4], gin.d_model: [64, 32]}       # advance together
  - {gin.num_heads: [2, 4], when: {gin.attention: mdha}}       # in some of the runs
  - {zip: {gin.depth: [4, 6], steps: [100, 400]}, label: {size: [3M, 10M]}}   # names of its own
  - seed: [1, 2, 3]
evaluate: {checkpoints: every 50}   # `evaluations.request`
stop_hopeless: {among: [gin.attention], after: 50}   # `evaluations.rule`
"""

import dataclasses
import difflib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from primer.common import user_paths
from primer.errors import UsageError
from primer.experiments.sweeps import axis_labels, run_settings, yaml_file
from primer.experiments.sweeps.evaluations import request, rule

_KEYS = ("name", "output", "run", "axes", "evaluate", "stop_hopeless")


@dataclasses.dataclass(frozen=True)
class Choice:
    """A value of a setting.

    Attributes:
        label: its short name, which is part of a run's name and of its directory.
        value: the value.
    """

    label: str
    value: Any


@dataclasses.dataclass(frozen=True)
class Axis:
    """Settings that take their values together.

    Attributes:
        positions: the places on the axis, each {key: its choice there}.
        when: {key of an axis above: labels}, in which runs the axis applies; empty for all.
        labels: of each position what names of runs have, {name: label}; None: {key: its label}.
    """

    positions: tuple[Mapping[str, Choice], ...]
    when: Mapping[str, tuple[str, ...]]
    labels: tuple[Mapping[str, str], ...] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its settings."""
        return tuple(self.positions[0])


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep as its file describes it.

    Attributes:
        path: the absolute path of the file.
        name: the sweep's name.
        output: the absolute path of the folder of all runs.
        fixed: {key: value} of the settings that all runs share.
        axes: the axes, the slowest first.
        evaluations: what `primer eval` measures of each run.
        stop_hopeless: when a run is stopped before its last step; None for never.
    """

    path: str
    name: str
    output: str
    fixed: Mapping[str, Any]
    axes: tuple[Axis, ...]
    evaluations: tuple[request.Evaluation, ...] = ()
    stop_hopeless: rule.Rule | None = None


def read(path: str) -> Sweep:
    """Returns the sweep that a file describes.

    Raises:
        UsageError: the file is not YAML or not a sweep; one line with the place, the value, and
            what was expected.
    """
    content = yaml_file.read(path)
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a sweep: expected the keys {', '.join(_KEYS)}")
    _check_keys(path, content, _KEYS)
    folder = os.path.dirname(os.path.abspath(path))
    name = content.get("name", os.path.splitext(os.path.basename(path))[0])
    if not isinstance(name, str) or not name:
        raise UsageError(f"{path}: name = {name!r}: expected a text")
    fixed = _fixed(f"{path}: run", content.get("run"), folder)
    axes = _axes(path, content.get("axes", []), folder)
    keys = dict.fromkeys([*fixed, *(key for axis in axes for key in axis.keys)])
    return Sweep(
        os.path.abspath(path),
        name,
        _output(path, content.get("output"), folder),
        fixed,
        axes,
        request.read(f"{path}: evaluate", content.get("evaluate"), folder),
        rule.read(f"{path}: stop_hopeless", content.get("stop_hopeless"), keys),
    )


def _check_keys(path: str, content: Mapping, known: Sequence[str]) -> None:
    for key in content:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(known)}"
            raise UsageError(f"{path}: unknown key {key!r} of a sweep; {hint}")


def _output(path: str, output: Any, folder: str) -> str:
    if not isinstance(output, str) or not output:
        raise UsageError(f"{path}: output = {output!r}: expected the folder of all runs")
    if user_paths.is_remote(output):
        raise UsageError(f"{path}: output = {output!r}: expected a local folder")
    return os.path.normpath(os.path.join(folder, os.path.expanduser(output)))


def _fixed(where: str, content: Any, folder: str) -> dict[str, Any]:
    if not isinstance(content, dict) or not content:
        raise UsageError(f"{where} = {content!r}: expected the settings that all runs share")
    keys = {key: run_settings.check_key(where, key) for key in content}
    return {
        key: run_settings.check_value(f"{where}.{key}", key, content[key], folder) for key in keys
    }


def _axes(path: str, content: Any, folder: str) -> tuple[Axis, ...]:
    if not isinstance(content, list):
        raise UsageError(f"{path}: axes = {content!r}: expected a list, as `- seed: [1, 2]`")
    axes: list[Axis] = []
    for number, entry in enumerate(content):
        axes.append(_axis(f"{path}: axes[{number}]", entry, folder, axes))
    return tuple(axes)


def _axis(where: str, entry: Any, folder: str, above: Sequence[Axis]) -> Axis:
    if not isinstance(entry, dict):
        raise UsageError(f"{where} = {entry!r}: expected `KEY: [values]` or `zip: ...`")
    keys = [key for key in entry if key not in ("when", "label")]
    if len(keys) != 1:
        raise UsageError(
            f"{where} has the settings {', '.join(map(str, keys)) or '(none)'}: expected one; "
            "`zip: {...}` advances several together, and an entry of its own crosses them"
        )
    members = entry["zip"] if keys == ["zip"] else {keys[0]: entry[keys[0]]}
    if not isinstance(members, dict) or not members:
        raise UsageError(f"{where}.zip = {members!r}: expected {{KEY: [values], KEY: [values]}}")
    has_labels = "label" in entry
    choices = {
        run_settings.check_key(where, key): _choices(
            f"{where}.{key}", key, values, folder, may_repeat=has_labels
        )
        for key, values in members.items()
    }
    lengths = {key: len(found) for key, found in choices.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{key} has {count}" for key, count in lengths.items())
        raise UsageError(f"{where}.zip: the lists have different lengths: {counts}")
    positions = tuple(dict(zip(choices, place)) for place in zip(*choices.values()))
    labels = None
    if has_labels:
        labels = axis_labels.of_positions(f"{where}.label", entry["label"], len(positions))
    return Axis(
        positions, _condition(f"{where}.when", entry.get("when", {}), folder, above), labels
    )


def _choices(
    where: str, key: str, values: Any, folder: str, may_repeat: bool = False
) -> list[Choice]:
    if not isinstance(values, (list, dict)) or not values:
        raise UsageError(
            f"{where} = {values!r}: expected a list of values, or {{label: value}}, not empty"
        )
    if isinstance(values, dict):
        for label in values:
            axis_labels.check(where, label)
        pairs = [(str(label), value) for label, value in values.items()]
    else:
        pairs = [(_label(value), value) for value in values]
    found = [
        Choice(label, run_settings.check_value(f"{where}[{number}]", key, value, folder))
        for number, (label, value) in enumerate(pairs)
    ]
    labels = [choice.label for choice in found]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None and not may_repeat:
        raise UsageError(
            f"{where}: two values are called {twice!r}, so that two runs would have one directory; "
            "remove one, or name them: {label: value}"
        )
    return found


def _label(value: Any) -> str:
    """Returns a short name of a value; of a gin file that of the file."""
    if isinstance(value, list):
        return "+".join(map(_label, value)) or "none"
    if isinstance(value, dict):
        return "+".join(f"{_label(key)}-{_label(item)}" for key, item in value.items()) or "none"
    text = str(value)
    if text.endswith(".gin"):
        text = os.path.basename(text).removesuffix(".gin")
    return axis_labels.UNSAFE.sub("_", text).strip("_") or "_"


def _condition(
    where: str, content: Any, folder: str, above: Sequence[Axis]
) -> dict[str, tuple[str, ...]]:
    if not isinstance(content, dict):
        raise UsageError(f"{where} = {content!r}: expected {{KEY of an axis above: value}}")
    known = _choices_above(above)
    found = {}
    for key, wanted in content.items():
        if key not in known:
            expected = ", ".join(known) or "(there is none)"
            raise UsageError(f"{where}: no axis {key!r} above this one; expected one of {expected}")
        values = wanted if isinstance(wanted, list) else [wanted]
        found[key] = tuple(_label_of(f"{where}.{key}", key, v, folder, known[key]) for v in values)
    return found


def _choices_above(axes: Sequence[Axis]) -> dict[str, list[Choice]]:
    found: dict[str, list[Choice]] = {}
    for axis in axes:
        for position in axis.positions:
            for key, choice in position.items():
                found.setdefault(key, []).append(choice)
    return found


def _label_of(where: str, key: str, value: Any, folder: str, choices: Sequence[Choice]) -> str:
    """Returns the label of the choice that a condition names, by its label or its value."""
    labels = [choice.label for choice in choices]
    if str(value) in labels:
        return str(value)
    for choice in choices:
        if value == choice.value and isinstance(value, bool) == isinstance(choice.value, bool):
            return choice.label
    if _label(value) in labels:
        return _label(value)
    raise UsageError(f"{where} = {value!r}: the axis has no such value; it has {', '.join(labels)}")
