"""Which variables of a checkpoint are the model's weights, and which are the optimizer's.

The memory that rows of training hand to each other (`primer.common.recurrence.carried_state`) is
neither: only training reads it.

Training records both in `primer.json`, as its graph has them: optimizers give their variables any
name. Directories that were trained in before have no record. There the names of the optimizers of
Mesh-TF 0.1.21 decide, where they explain every variable.
"""

import re
from collections.abc import Iterable

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, model_directory
from primer.common.recurrence import carried_state
from primer.errors import UsageError

KEY = "variables"

# What Mesh-TF's Adafactor, Adam and SGD append to a weight's name.
_KNOWN_SLOT = re.compile(r"(_slot_(vr|vc|v|m)|/adam_(m|v)|_momentum_v)$")
# Names in an error message.
_MOST_NAMES = 4


def describe_graph() -> dict[str, dict[str, list[str]]]:
    """Returns what `primer.json` records of the default graph's variables, the step apart.

    The names are those in a checkpoint. Trainable variables are weights, all others that a
    checkpoint has are the optimizer's.
    """
    weights = {variable.op.name for variable in tf.trainable_variables()}
    saved = {variable.op.name for variable in tf.global_variables()}
    others = _of_model_or_optimizer(saved - weights - {checkpoint_files.GLOBAL_STEP})
    return {KEY: {"weights": sorted(weights), "optimizer": sorted(others)}}


def select_weights(model_dir: str, names: Iterable[str]) -> list[str]:
    """Returns the names that are weights, and the step, sorted.

    Args:
        model_dir: the directory of the checkpoint.
        names: all names in the checkpoint.

    Raises:
        UsageError: nothing is recorded, and some names may be those of an optimizer's variables.
    """
    names = _of_model_or_optimizer(names)
    record = model_directory.read_record(model_dir) or {}
    if KEY in record:
        return sorted(names & {*record[KEY]["weights"], checkpoint_files.GLOBAL_STEP})
    slots = {name for name in names if _weight_of_slot(name) in names - {name}}
    unknown = _unexplained(names - slots - {checkpoint_files.GLOBAL_STEP}, slots)
    if unknown:
        listed = ", ".join(unknown[:_MOST_NAMES])
        more = f" and {len(unknown) - _MOST_NAMES} more" if unknown[_MOST_NAMES:] else ""
        raise UsageError(
            f"model_dir = {model_dir!r} does not record which variables are weights, and {listed}"
            f"{more} may be the optimizer's; continue its training for one step, which records "
            f"them in {model_directory.RECORD}"
        )
    return sorted(names - slots)


def _of_model_or_optimizer(names: Iterable[str]) -> set[str]:
    return {name for name in names if not carried_state.is_part(name)}


def _weight_of_slot(name):
    return _KNOWN_SLOT.sub("", name)


def _unexplained(others, slots):
    """Returns the names, sorted, that need not be weights.

    A weight has slots where any weight has. Where none has, an unknown optimizer's slot is named
    after its weight.
    """
    if slots:
        return sorted(others - {_weight_of_slot(name) for name in slots})
    return sorted(name for name in others if any(_is_derived(name, other) for other in others))


def _is_derived(name, weight):
    return name.startswith((f"{weight}/", f"{weight}_")) or name.endswith(f"/{weight}")
