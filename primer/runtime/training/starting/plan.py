"""Which weights of a model get their values from a checkpoint, and how; decided before the graph.

The names and shapes of the model's weights are known from its forward pass, so that what does not
fit is refused before the graph of training is built.
"""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mesh_tensorflow.transformer import utils

from primer.checkpoints import checkpoint_files, model_directory
from primer.checkpoints.description import variable_roles
from primer.errors import UsageError
from primer.gin_config.values import configured
from primer.parametrization import lora_weights, weight_patterns
from primer.runtime.training.starting import growth, settings

_FILTER = "tpu_estimator_model_fn.init_variable_filter"
# Names in a message.
_MOST_NAMES = 3


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run takes from a checkpoint.

    Attributes:
        path: the checkpoint.
        names: {name of a weight here: its name in the checkpoint} of those that are loaded.
        skipped: the names of weights that a pattern of `skip` leaves out.
        kept: the names of the other weights that keep their initial values.
        grown: {name: how it grows} of loaded weights with further rows.
        merged: {name: alpha} of loaded weights to which the checkpoint's LoRA is added.
        unread: the checkpoint's weights for which the model has no place.
        start: the settings.
    """

    path: str
    names: Mapping[str, str]
    skipped: Sequence[str] = ()
    kept: Sequence[str] = ()
    grown: Mapping[str, growth.Growth] = dataclasses.field(default_factory=dict)
    merged: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    unread: Sequence[str] = ()
    start: settings.Start = dataclasses.field(default_factory=settings.Start)

    @property
    def step(self) -> int:
        """The step that training begins at."""
        return checkpoint_files.step_of(self.path) if self.start.keep_step else 0

    def sentence(self) -> str:
        """Returns what is loaded and what is not, for the terminal."""
        total = len(self.names) + len(self.skipped) + len(self.kept)
        text = f"{len(self.names)} of {total} variables loaded from {self.path}"
        if self.skipped:
            patterns = ", ".join(repr(pattern.pattern) for pattern in self.start.skip)
            text += f"; skipped by {patterns}: {listed(self.skipped)}"
        factors = [name for name in self.kept if lora_weights.is_factor(name)]
        others = [name for name in self.kept if not lora_weights.is_factor(name)]
        if factors:
            text += f"; {len(factors)} factors of LoRA at their initial values"
        if others:
            text += f"; not loaded: {listed(others)}"
        for name, how in self.grown.items():
            rest = "the mean of these" if how.is_mean else "initial values"
            text += f"; {name}: {how.kept:,} rows kept, {how.rows - how.kept:,} added as {rest}"
        if self.merged:
            text += f"; with the LoRA of {listed(list(self.merged))} added"
        if self.unread:
            text += f"; of the checkpoint not read: {listed(self.unread)}"
        return f"{text}."

    def record(self, setting: str) -> dict[str, Any]:
        """Returns what `primer.json` records of the start.

        Args:
            setting: the value of `utils.run.init_checkpoint`.
        """
        return {
            settings.KEY: {
                **settings.source(setting),
                "path": self.path,
                "step": checkpoint_files.step_of(self.path),
                "keep_step": self.start.keep_step,
                "skip": [pattern.pattern for pattern in self.start.skip],
                "grow": self.start.grow,
                "loaded": len(self.names),
                "skipped": list(self.skipped),
                "initial": list(self.kept),
                "grown": {name: [how.kept, how.rows] for name, how in self.grown.items()},
                "merged": list(self.merged),
                "unread": list(self.unread),
            }
        }


def make(
    path: str,
    shapes: Mapping[str, list[int]],
    tables: Mapping[str, tuple[int, str]],
) -> Plan:
    """Returns what a model takes from a checkpoint.

    Args:
        path: the checkpoint.
        shapes: {name of a weight of the model: its shape}.
        tables: its tables that may grow (`growth.tables`).

    Raises:
        UsageError: the checkpoint has no weight of the model, or one in another shape or of a type
            that is no number; or a pattern matches no weight.
        RunError: the checkpoint cannot be read.
    """
    start = settings.initial_weights()
    reader = checkpoint_files.open_reader(path)
    there = reader.get_variable_to_shape_map()
    skipped = [name for name in shapes if any(p.search(name) for p in start.skip)]
    for pattern in start.skip:
        weight_patterns.require_match("initial_weights.skip (--skip)", pattern, shapes)
    selected = [name for name in shapes if name not in skipped and _is_selected(name)]
    mapped = {name: utils.init_checkpoint_variable_mapping(name) for name in selected}
    names = {name: other for name, other in mapped.items() if other in there and _is_read(other)}
    if not names:
        raise UsageError(
            f"{settings.SETTING}: the checkpoint {path} has no variable of this model; it has "
            f"{listed(sorted(there))}, and the model {listed(list(shapes))}"
        )
    _require_numbers(path, names, reader)
    record = model_directory.read_record(os.path.dirname(path)) or {}
    grown = _grown(path, names, shapes, there, tables, start, record)
    kept = [name for name in shapes if name not in names and name not in skipped]
    return Plan(
        path,
        names,
        skipped,
        kept,
        grown,
        _merged(names, there, shapes, record),
        _unread(record, names, there),
        start,
    )


def _is_selected(name):
    """Whether `should_load_variable.filter_fn` admits a weight.

    The function of `patches.checkpoints.initial_checkpoint` asks which weights the graph has, and
    there is none yet.
    """
    function = utils.should_load_variable
    return getattr(function, "__wrapped__", function)(name)


def _is_read(name):
    pattern = configured(_FILTER)
    return not pattern or bool(re.search(pattern, name))


def _require_numbers(path, names, reader):
    types = reader.get_variable_to_dtype_map()
    for name, other in names.items():
        if not types[other].is_floating:
            raise UsageError(
                f"{settings.SETTING}: {name} is float32, and {other} in the checkpoint {path} is "
                f"{types[other].name}; leave it at its initial value with --skip {name!r}"
            )


def _grown(path, names, shapes, there, tables, start, record):
    """Returns {name: Growth}; refuses other differences of shapes."""
    used = (record.get("vocabulary") or {}).get("size")
    grown, other = {}, []
    for name, mapped in names.items():
        old, new = there[mapped], list(shapes[name])
        how = None
        if name in tables and start.grow:
            how = growth.of_weight(tables[name], old, new, used, start.grow)
        if how is not None and how.kept < how.rows:
            grown[name] = how
        elif old != new:
            other.append(name)
    if other:
        raise UsageError(_difference(path, other, names, shapes, there, tables, start))
    return grown


def _difference(path, other, names, shapes, there, tables, start):
    """Returns the message on weights of other shapes, with the way to go on."""
    texts = [f"{n} is {list(shapes[n])} and in the checkpoint {there[names[n]]}" for n in other]
    longer = [
        growth.of_weight(tables[n], there[names[n]], list(shapes[n]), None, settings.MEAN)
        for n in other
        if n in tables
    ]
    if len(longer) == len(other) and all(longer) and not start.grow:
        hint = "--grow (initial_weights.grow = 'mean') adds the missing rows"
    else:
        hint = (
            "give the sizes of that model, or leave these weights at their initial values with "
            f"--skip (initial_weights.skip = [{names[other[0]]!r}])"
        )
    return (
        f"{settings.SETTING}: the checkpoint {path} is of a model of another size or vocabulary: "
        f"{listed(texts, '; ')}; {hint}"
    )


def _merged(names, there, shapes, record):
    """Returns {name: alpha} of the weights whose LoRA the model does not have."""
    alpha = lora_weights.alpha_of_record(record)
    return {
        name: alpha
        for name, other in names.items()
        if other + lora_weights.A in there and name + lora_weights.A not in shapes
    }


def _unread(record, names, there):
    """Returns the checkpoint's weights, where they are recorded, that nothing reads."""
    weights = (record.get(variable_roles.KEY) or {}).get("weights", [])
    read = set(names.values())
    return [
        name
        for name in weights
        if name in there and name not in read and not lora_weights.is_factor(name)
    ]


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """Returns the first names as a text, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMES} more" if names[_MOST_NAMES:] else ""
    return separator.join(names[:_MOST_NAMES]) + more
