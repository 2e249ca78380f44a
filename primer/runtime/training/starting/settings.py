"""The settings of a start from another model's weights, beside `utils.run.init_checkpoint`."""

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any

import gin

from primer.checkpoints import model_directory
from primer.common import checks, user_paths
from primer.errors import UsageError

SETTING = "utils.run.init_checkpoint"
# What the rows that --grow adds to a table of the vocabulary begin with.
MEAN, INITIAL = GROWTH = ("mean", "initial")
# The key of the record of a start in primer.json.
KEY = "initial_weights"


@dataclasses.dataclass(frozen=True)
class Start:
    """How the other model's checkpoint is read; `initial_weights` has the meanings."""

    checkpoint: str | int = "latest"
    skip: tuple[re.Pattern, ...] = ()
    grow: str | None = None
    keep_step: bool = False


@gin.configurable(module="primer")
def initial_weights(
    checkpoint: str | int = "latest",
    skip: Sequence[str] = (),
    grow: str | None = None,
    keep_step: bool = False,
) -> Start:
    """Returns how a new run reads the checkpoint of `utils.run.init_checkpoint`.

    Args:
        checkpoint: where that is a directory, which of its checkpoints: "latest", "best" or a step.
        skip: regular expressions, searched in names of weights: those that match keep their initial
            values.
        grow: for tables of the vocabulary and of learned positions that are longer here: the
            checkpoint's rows are kept, and the further ones of the vocabulary are the mean of these
            ("mean") or initial values ("initial"); those of positions are initial values. None:
            another length is refused.
        keep_step: whether training goes on at the checkpoint's step, with its optimizer's state.

    Raises:
        UsageError: a setting has no such value.
    """
    if isinstance(skip, str) or not isinstance(skip, Sequence):
        raise UsageError(f"initial_weights.skip = {skip!r}: expected a list of expressions")
    patterns = tuple(checks.regular_expression("initial_weights.skip (--skip)", s) for s in skip)
    if grow is not None:
        checks.one_of("initial_weights.grow (--grow)", grow, GROWTH)
    checks.boolean("initial_weights.keep_step", keep_step)
    return Start(checkpoint, patterns, grow, keep_step)


def require_none() -> None:
    """Raises UsageError where a setting is set that TensorFlow's TPUEstimator does not read."""
    if initial_weights() != Start():
        raise UsageError(
            "initial_weights.checkpoint, .skip, .grow and .keep_step are read by the local "
            f"estimator alone; with a TPU name a checkpoint's path in {SETTING}, and variables in "
            "tpu_estimator_model_fn.init_variable_filter"
        )


def source(setting: str) -> dict[str, Any]:
    """Returns what names a start in a record: the absolute path and the choice of a checkpoint."""
    path = os.path.expanduser(setting)
    path = path if user_paths.is_remote(path) else os.path.abspath(path)
    return {"from": path, "checkpoint": initial_weights().checkpoint}


def check_resumed(model_dir: str, setting: str | None) -> None:
    """Refuses to resume a run from its own checkpoints where another start is asked for.

    Args:
        model_dir: the directory of the run, with checkpoints.
        setting: the value of `utils.run.init_checkpoint`; None or "": nothing is asked for.

    Raises:
        UsageError: the run did not start from there.
    """
    if not setting:
        return
    asked = source(setting)
    record = (model_directory.read_record(model_dir) or {}).get(KEY)
    if record is None:
        began = "did not start from other weights"
    elif all(record.get(key) == asked[key] for key in asked):
        return
    else:
        began = f"started from {record['from']} (checkpoint {record['checkpoint']})"
    raise UsageError(
        f"{SETTING} = {setting!r} (--from), checkpoint {asked['checkpoint']}: model_dir = "
        f"{model_dir!r} has checkpoints of a run that {began}; leave --from out to go on with it, "
        "or choose a new model_dir"
    )
