"""Training from another model's weights: `--from`, `utils.run.init_checkpoint`, MtfModel's too.

Mesh-TF 0.1.21 loads every variable that the checkpoint has: the step and the optimizer's slots
among them, so that training goes on at the other model's step, beyond the end of the schedule. Here
only weights are loaded, and training starts at step 0 with a new optimizer, unless
`initial_weights.keep_step` asks for the step and the optimizer's state too. Mesh-TF's filters and
its mapping of names hold as before.
"""

import os
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import (
    checkpoint_files,
    model_directory,
    restoring,
    selection,
)
from primer.checkpoints.description import model_description
from primer.common import console
from primer.common.recurrence import carried_state
from primer.errors import UsageError
from primer.parametrization import lora_weights
from primer.runtime.training.starting import plan, settings

SETTING = settings.SETTING
listed = plan.listed


def find_checkpoint(setting: str) -> str:
    """Returns the path of the checkpoint that a setting names.

    Args:
        setting: a checkpoint's path (`.../model.ckpt-N`), or a directory, of which
            `initial_weights.checkpoint` chooses one: the latest, unless it is set.

    Raises:
        UsageError: there is no such checkpoint, or it is incomplete or damaged.
    """
    path, which = os.path.expanduser(setting), settings.initial_weights().checkpoint
    found: str | None = path
    if not tf.io.gfile.isdir(path):
        if which != "latest":
            raise UsageError(
                f"initial_weights.checkpoint = {which!r} (--checkpoint) chooses one of a directory,"
                f" and {SETTING} = {setting!r} (--from) is none"
            )
    elif which == "latest":
        found = checkpoint_files.latest_checkpoint(path)
    else:
        found = selection.select_checkpoint(path, which)
    if not found or not checkpoint_files.has_index(found):
        raise UsageError(
            f"{SETTING} = {setting!r} (--from): there is no such checkpoint; expected a path that "
            "ends in model.ckpt-<step>, or a directory with checkpoints"
        )
    if not checkpoint_files.is_whole(found):
        raise UsageError(
            f"{SETTING} = {setting!r} (--from): the checkpoint {found} is incomplete or damaged; "
            "name another one"
        )
    return found


class InitialWeights:
    """Loads what a plan says into the variables of the default graph; made before it is final.

    Args:
        chosen: the plan.

    Raises:
        RunError: the checkpoint cannot be read.
    """

    def __init__(self, chosen: plan.Plan) -> None:
        self._plan = chosen
        self._weights = {
            v.op.name: v for v in tf.trainable_variables() if v.op.name in chosen.names
        }
        variables = list(self._weights.values())
        self._state = _state(chosen) if chosen.start.keep_step else []
        self._restore = restoring.Restore(
            [*variables, *self._state], names=chosen.names, open_reader=self._open
        )
        self._initial: dict[str, np.ndarray] = {}
        self._initial_values = {name: self._weights[name].initial_value for name in chosen.grown}

    def load(self, sess: tf.Session) -> None:
        """Loads the values; prints how many there are, and which weights have none."""
        self._initial = sess.run(self._initial_values)
        self._restore(sess, self._plan.path)
        self._initial = {}
        if not self._plan.start.keep_step:
            how = "Training starts at step 0 with a new optimizer."
        else:
            state = [v.op.name for v in self._state if v.op.name != checkpoint_files.GLOBAL_STEP]
            how = (
                f"Training goes on at step {self._plan.step:,} with {len(state)} variables of the "
                "optimizer; the data are read from the start."
            )
        console.say(f"{self._plan.sentence()} {how}")

    def _open(self, path):
        """Returns a reader of the checkpoint that has the values which the plan changes."""
        reader = checkpoint_files.open_reader(path)
        names, changed = self._plan.names, {}
        for name, alpha in self._plan.merged.items():
            weight = names[name]
            read = {key: reader.get_tensor(key) for key in _with_factors(weight)}
            changed[weight] = lora_weights.merged(read, alpha)[weight]
        for name, how in self._plan.grown.items():
            old = changed.get(names[name])
            old = reader.get_tensor(names[name]) if old is None else old
            changed[names[name]] = how.value(old, self._initial[name])
        return _Changed(reader, changed) if changed else reader


class _Changed:
    """A checkpoint's reader, some of whose values are others.

    Args:
        reader: TensorFlow's reader.
        values: {name in the checkpoint: value}.
    """

    # The file itself does not have these values.
    reads_file = False

    def __init__(self, reader: Any, values: dict[str, np.ndarray]) -> None:
        self._reader = reader
        self._values = values

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """Returns the shapes."""
        changed = {name: list(value.shape) for name, value in self._values.items()}
        return {**self._reader.get_variable_to_shape_map(), **changed}

    def get_variable_to_dtype_map(self) -> dict[str, tf.DType]:
        """Returns the types in the file."""
        return self._reader.get_variable_to_dtype_map()

    def get_tensor(self, name: str) -> np.ndarray:
        """Returns a value."""
        return self._values[name] if name in self._values else self._reader.get_tensor(name)


def _with_factors(name):
    return [name, name + lora_weights.A, name + lora_weights.B]


def _state(chosen):
    """Returns the step and the optimizer's variables of the graph that a checkpoint has too."""
    shapes = checkpoint_files.open_reader(chosen.path).get_variable_to_shape_map()
    weights = {v.op.name for v in tf.trainable_variables()}
    return [
        v
        for v in tf.global_variables()
        if v.op.name not in weights
        and shapes.get(v.op.name) == v.shape.as_list()
        and not carried_state.is_part(v.op.name)
        and not any(pattern.search(v.op.name) for pattern in chosen.start.skip)
    ]


def say_differences(path: str, description: dict) -> None:
    """Prints a line where a checkpoint is of another wiring or vocabulary than the model.

    Args:
        path: the checkpoint.
        description: the model that is to be trained (`model_description.describe`).
    """
    record = model_directory.read_record(os.path.dirname(path)) or {}
    for part in ("wiring", "vocabulary"):
        difference = model_description.first_difference(record.get(part), description[part])
        if part in record and difference:
            console.say(f"{path} was trained with another {part}: {difference}")
