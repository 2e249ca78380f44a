"""Training from another model's weights: `utils.run.init_checkpoint`, and MtfModel's argument.

Mesh-TF 0.1.21 loads every variable that the checkpoint has: the step and the optimizer's slots
among them, so that training goes on at the other model's step, beyond the end of the schedule. Here
only weights are loaded; training starts at step 0 with a new optimizer. Mesh-TF's filters and its
mapping of names hold as before.
"""

import dataclasses
import os
import re

import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import utils

from primer.checkpoints import checkpoint_files, model_directory, restoring
from primer.checkpoints.description import model_description
from primer.common import console
from primer.errors import UsageError
from primer.gin_config.values import configured

SETTING = "utils.run.init_checkpoint"
_FILTER = "tpu_estimator_model_fn.init_variable_filter"
# Names in a message.
_MOST_NAMES = 3


def find_checkpoint(setting: str) -> str:
    """Returns the path of the checkpoint that a setting names.

    Args:
        setting: a checkpoint's path (`.../model.ckpt-N`), or a directory, whose latest it means.

    Raises:
        UsageError: there is no such checkpoint, or it is incomplete or damaged.
    """
    path = os.path.expanduser(setting)
    found = checkpoint_files.latest_checkpoint(path) if tf.io.gfile.isdir(path) else path
    if not found or not checkpoint_files.has_index(found):
        raise UsageError(
            f"{SETTING} = {setting!r}: there is no such checkpoint; expected a path that ends in "
            "model.ckpt-<step>, or a directory with checkpoints"
        )
    if not checkpoint_files.is_whole(found):
        raise UsageError(
            f"{SETTING} = {setting!r}: the checkpoint {found} is incomplete or damaged; name "
            "another one"
        )
    return found


@dataclasses.dataclass(frozen=True)
class InitialWeights:
    """Which variables of the default graph get their value from a checkpoint.

    Attributes:
        path: the checkpoint.
        restore: loads them into a session.
        loaded: their names.
        kept: the names of the other weights, which keep their initial values.
    """

    path: str
    restore: restoring.Restore
    loaded: list[str]
    kept: list[str]

    @classmethod
    def of_graph(cls, path: str) -> "InitialWeights":
        """Selects the weights of the default graph that a checkpoint has.

        Args:
            path: the checkpoint.

        Raises:
            UsageError: it has none of them, or one in another shape.
        """
        shapes = checkpoint_files.open_reader(path).get_variable_to_shape_map()
        named = [
            (variable, utils.init_checkpoint_variable_mapping(variable.op.name))
            for variable in _selected_weights()
        ]
        found = [(v, name) for v, name in named if name in shapes and _may_be_read(name)]
        _check_shapes(path, found, shapes)
        if not found:
            raise UsageError(
                f"{SETTING}: the checkpoint {path} has no variable of this model; it has "
                f"{listed(sorted(shapes))}, and the model "
                f"{listed([v.op.name for v in tf.trainable_variables()])}"
            )
        names = {variable.op.name: name for variable, name in found}
        restore = restoring.Restore([v for v, _ in found], names=names)
        kept = [v.op.name for v in tf.trainable_variables() if v.op.name not in names]
        return cls(path, restore, list(names), kept)

    def load(self, sess: tf.Session) -> None:
        """Loads the values; prints how many there are, and which weights have none."""
        self.restore(sess, self.path)
        total = len(self.loaded) + len(self.kept)
        kept = f"; not loaded: {listed(self.kept)}" if self.kept else ""
        console.say(
            f"{len(self.loaded)} of {total} variables loaded from {self.path}{kept}. Training "
            "starts at step 0 with a new optimizer."
        )


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


def _selected_weights():
    """Returns the graph's weights that `should_load_variable.filter_fn` admits."""
    return [v for v in tf.trainable_variables() if utils.should_load_variable(v.op.name)]


def _may_be_read(name):
    pattern = configured(_FILTER)
    return not pattern or re.search(pattern, name)


def _check_shapes(path, found, shapes):
    other = [
        f"{variable.op.name} is {variable.shape.as_list()} and in the checkpoint {shapes[name]}"
        for variable, name in found
        if shapes[name] != variable.shape.as_list()
    ]
    if other:
        raise UsageError(
            f"{SETTING}: the checkpoint {path} is of a model of another size or vocabulary: "
            f"{listed(other, '; ')}"
        )


def listed(names: list[str], separator: str = ", ") -> str:
    """Returns the first names as a text, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMES} more" if names[_MOST_NAMES:] else ""
    return separator.join(names[:_MOST_NAMES]) + more
