"""The files of a model directory besides its checkpoints, and the record of what it holds.

`primer.json` records the wiring and configuration that the checkpoints were trained with, because
two models may have the same variables and be different functions (Primer with and without its
post-norm, a norm with another epsilon); their vocabulary, a copy of which
`primer.checkpoints.vocabulary_copy` makes; which variables are weights
(`primer.checkpoints.description.variable_roles`); the tokens per step and FLOPs per token of
each session of training (`primer.checkpoints.description.trained_tokens`); and the step at which
training stopped early, until it goes on.
"""

import os
import re
from typing import Any

import gin

from primer.checkpoints.description import model_description, plain_settings
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
STOPPED_EARLY = "stopped_early"  # The key of the record with the step of an early end.
# A stack that the released gin files bind without effect.
NEVER_RELEASED = "PrePostNormLayerStack"
# The parts of a description, in the order in which they are compared.
PARTS = ("wiring", "vocabulary", "configuration")


def files_of_model(model_dir: str) -> list[str]:
    """Returns the paths of the files that belong to every copy of a checkpoint."""
    names = (*map(re.escape, (*CONFIGS, RECORD, TEXTS)), VOCABULARY_FILES)
    return files.matching_files(model_dir, "|".join(names))


def check_description(
    model_dir: str, description: dict[str, Any], training: bool = False
) -> list[str]:
    """Refuses to read a directory's checkpoints as those of another model.

    Settings that an evaluation may choose for itself (`capacity_factor_eval`) may differ. So may
    parameters of the model's functions (`sublayer_true_layer_norm.epsilon`) where nothing is
    trained: the caller has to print what is returned beside its numbers.

    Args:
        model_dir: a directory with checkpoints.
        description: the model that is to read them (`model_description.describe`).
        training: whether the model goes on training them.

    Returns:
        The differences that a reader may have, as "name before -> now"; one for all layers.

    Raises:
        UsageError: the record names another wiring, vocabulary or, for training, configuration; or
            there is no record and the model has a part that the original's code never built.
    """
    record = read_record(model_dir)
    if record is None:
        if description["wiring"].get("layer_stack") == NEVER_RELEASED:
            raise UsageError(
                f"model_dir = {model_dir!r} has checkpoints and no {RECORD}, as the original's, "
                f"which were trained without {NEVER_RELEASED}: read them with "
                "architectures/primer_as_released.gin in place of architectures/primer.gin"
            )
        return []
    _require_lora(model_dir, record, description)
    accepted: dict[tuple, str] = {}
    for part in PARTS:
        # Older versions recorded fewer parts.
        before = record.get(part, {} if part == "configuration" else None)
        for difference in model_description.differences(before, description[part]):
            of_evaluation = any(map(plain_settings.is_of_evaluation, difference.keys()))
            if not of_evaluation and (training or part != "configuration"):
                raise UsageError(
                    f"model_dir = {model_dir!r} was trained with another {part}: {difference}; use "
                    f"a new model_dir, or the gin files that it was trained with ({CONFIG} in it)"
                )
            accepted.setdefault(difference.keys(), str(difference))
    return list(accepted.values())


def _require_lora(model_dir: str, record: dict[str, Any], description: dict[str, Any]) -> None:
    """Refuses to read weights without their LoRA: the other differences show a part on one side."""
    rank, now = (d.get("configuration", {}).get("lora.rank") for d in (record, description))
    if rank and not now:
        raise UsageError(
            f"model_dir = {model_dir!r} was trained with lora_rank = {rank}, and the model has no "
            f'LoRA: add --gin_param "lora_rank = {rank}" and its other settings ({CONFIG} in it)'
        )


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


def record_early_end(model_dir: str, step: int) -> None:
    """Records that training stopped early; the record of the next session says nothing of it."""
    record = {**(read_record(model_dir) or {}), STOPPED_EARLY: step}
    files.write_json(os.path.join(model_dir, RECORD), record)


def early_end(model_dir: str) -> int | None:
    """Returns the step at which training stopped early, or None; raises as `read_record`."""
    return (read_record(model_dir) or {}).get(STOPPED_EARLY)
