"""The files of a model directory besides its checkpoints, and the record of what it holds.

`primer.json` records the wiring that the checkpoints were trained with, because two models may have
the same variables and be different functions (Primer with and without its post-norm); their
vocabulary, a copy of which `primer.checkpoints.vocabulary_copy` makes; and which variables are
weights (`primer.checkpoints.variable_roles`).
"""

import os
import re
from typing import Any

import gin

from primer.checkpoints import model_description
from primer.checkpoints.saved_config import CONFIGS
from primer.common import files
from primer.errors import UsageError

RECORD = "primer.json"
RECORD_HINT = "copy it from a backup; training in this directory would write another"
CONFIG = CONFIGS[0]
VOCABULARY_FILES = r"vocabulary\..*"
TEXTS = "texts.json"  # The text files that were trained on: `primer.data.text_stamps`.
AVERAGED = "averaged.json"  # The mark of a directory of averages.
BEST = "best"  # The folder in it with the best checkpoint.
# A stack that the released gin files bind without effect.
NEVER_RELEASED = "PrePostNormLayerStack"


def files_of_model(model_dir: str) -> list[str]:
    """Returns the paths of the files that belong to every copy of a checkpoint."""
    names = (*map(re.escape, (*CONFIGS, RECORD, TEXTS)), VOCABULARY_FILES)
    return files.matching_files(model_dir, "|".join(names))


def check_description(model_dir: str, description: dict[str, Any]) -> None:
    """Refuses to read a directory's checkpoints as those of another model.

    Args:
        model_dir: a directory with checkpoints.
        description: the model that is to read them (`model_description.describe`).

    Raises:
        UsageError: the record names another wiring or vocabulary, or there is no record and the
            model has a part that the original's code never built.
    """
    record = read_record(model_dir)
    if record is None:
        if description["wiring"].get("layer_stack") == NEVER_RELEASED:
            raise UsageError(
                f"model_dir = {model_dir!r} has checkpoints and no {RECORD}, as the original's, "
                f"which were trained without {NEVER_RELEASED}: read them with "
                "architectures/primer_as_released.gin in place of architectures/primer.gin"
            )
        return
    for part in ("wiring", "vocabulary"):
        difference = model_description.first_difference(record.get(part), description[part])
        if difference:
            raise UsageError(
                f"model_dir = {model_dir!r} was trained with another {part}: {difference}; use a "
                f"new model_dir, or the gin files that it was trained with ({CONFIG} in it)"
            )


def check_model(model_dir: str, model: Any, vocabulary: Any) -> None:
    """Refuses to read a directory's checkpoints with another model or vocabulary.

    Args:
        model_dir: a directory with checkpoints.
        model: a Mesh-TF Unitransformer.
        vocabulary: a seqio vocabulary, or a pair.

    Raises:
        UsageError: as `check_description`.
    """
    check_description(model_dir, model_description.describe(model, vocabulary))


def check_trainable(model_dir: str) -> None:
    """Raises UsageError for a directory of averages, which have no optimizer state."""
    averaged = files.read_json(os.path.join(model_dir, AVERAGED), "average the checkpoints again")
    if averaged is None:
        return
    source = averaged["model_dir"]
    raise UsageError(
        f"model_dir = {model_dir!r} holds averages of checkpoints ({AVERAGED}), without the "
        f"optimizer's state: continue training in {source!r}, or in a new model_dir with "
        "utils.run.init_checkpoint = '<path of an average>'"
    )


def write_record(model_dir: str, record: dict[str, Any]) -> None:
    """Writes the record of a directory, and the gin settings of the run."""
    files.write_json(os.path.join(model_dir, RECORD), record)
    files.write_whole(os.path.join(model_dir, CONFIG), gin.config_str())


def read_record(model_dir: str) -> dict[str, Any] | None:
    """Returns the record of a model directory, or None.

    Raises:
        UsageError: it is damaged.
    """
    return files.read_json(os.path.join(model_dir, RECORD), RECORD_HINT)
