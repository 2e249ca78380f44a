"""What belongs to a model directory: one model, one vocabulary, and the record of both.

`primer.json` records the wiring that the checkpoints were trained with, because two models may
have the same variables and still be different functions (Primer with and without its post-norm),
and which vocabulary, whose copy `primer.checkpoints.vocabulary_copy` keeps.
"""

import os

import gin

from primer.checkpoints import model_description
from primer.common import files
from primer.errors import UsageError

RECORD = "primer.json"
RECORD_HINT = "copy it from a backup; training in this directory would write another"
CONFIG = "config.gin"
CONFIGS = (CONFIG, "operative_config.gin")
AVERAGED = "averaged.json"  # The mark of a directory of averages.
BEST = "best"  # The folder in it with the best checkpoint, and the records of both.
# The released gin files bind this stack where it takes no effect.
NEVER_RELEASED = "PrePostNormLayerStack"


def check_description(model_dir, now):
    """Refuses to read a directory's checkpoints as another model than they are of.

    Args:
        model_dir: a directory with checkpoints.
        now: the description (`wiring.describe`) of the model that is about to read them.

    Raises:
        UsageError: the record names another wiring or vocabulary, or there is no record and the
            model has a part that the original's code never built.
    """
    before = read_record(model_dir)
    if before is None:
        if now["wiring"].get("layer_stack") == NEVER_RELEASED:
            raise UsageError(
                f"model_dir = {model_dir!r} has checkpoints and no {RECORD}, as the original's, "
                f"which were trained without {NEVER_RELEASED}: read them with "
                "architectures/primer_as_released.gin in place of architectures/primer.gin"
            )
        return
    for part in ("wiring", "vocabulary"):
        difference = model_description.first_difference(before.get(part), now[part])
        if difference:
            raise UsageError(
                f"model_dir = {model_dir!r} was trained with another {part}: {difference}; use a "
                f"new model_dir, or the gin files that it was trained with ({CONFIG} in it)"
            )


def check_model(model_dir, model, vocabulary):
    """Refuses to read a directory's checkpoints with another model or vocabulary.

    Raises:
        UsageError: as `check_description`.
    """
    check_description(model_dir, model_description.describe_estimator(model, vocabulary))


def check_trainable(model_dir):
    """Raises UsageError for a directory of averages: the optimizer's state is not in them."""
    averaged = files.read_json(os.path.join(model_dir, AVERAGED), "average the checkpoints again")
    if averaged is None:
        return
    source = averaged["model_dir"]
    raise UsageError(
        f"model_dir = {model_dir!r} holds averages of checkpoints ({AVERAGED}), without the "
        f"optimizer's state: train on in {source!r}, or in a new model_dir with "
        "utils.run.init_checkpoint = '<path of an average>'"
    )


def write_record(model_dir, now):
    """Writes what the directory's checkpoints are of, and the gin settings of the run."""
    files.write_json(os.path.join(model_dir, RECORD), now)
    files.write_whole(os.path.join(model_dir, CONFIG), gin.config_str())


def read_record(model_dir):
    """The record of a model directory, or None."""
    return files.read_json(os.path.join(model_dir, RECORD), RECORD_HINT)
