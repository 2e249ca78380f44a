"""Registers the evaluation's callbacks with the runtime; `t5_imports` imports this module.

The runtime may not import data or evaluation. It has registries for checks before a run, for
explanations of errors, and for the validator of `--eval_every`.
"""

import os
from collections.abc import Callable
from typing import Any

import seqio

from primer.checkpoints import model_directory
from primer.common import console
from primer.data import preflight, text_stamps, whole_documents
from primer.data.sources import corrupt_records
from primer.evaluation import evaluate, protocols
from primer.gin_config.values import bound, configured
from primer.runtime import callbacks, estimator_model
from primer.runtime.training import validation

VALIDATION = "validation"


def make_validator(estimator: Any) -> Callable[[str], dict[str, Any]]:
    """Returns a function of a checkpoint's path that evaluates the whole validation split.

    The function returns the totals as a dict with "split" and "how". The split is read and the
    graph is built once, here.
    """
    task, protocol = estimator_model.task_name(), protocols.configured_protocol()
    split_text = protocol.read_split(task, VALIDATION, estimator_model.length_of(estimator))
    scorer = evaluate.make_scorer(estimator)

    def validate(path):
        scorer.restore(path)
        return {
            **protocol.evaluate(scorer, split_text).as_dict(),
            "split": VALIDATION,
            "how": protocol.describe(VALIDATION, scorer.length, scorer.caveats),
        }

    return validate


@callbacks.before_run
def check_data(mode: str) -> None:
    """Raises UsageError if a split that a run of this mode reads cannot be read."""
    task = configured("mesh_train_dataset_fn.mixture_or_task_name")
    if not task:
        return
    for split in _splits(mode):
        remark = preflight.check_split(task, split, use_cached=_uses_cache(mode, split))
        if remark:
            console.say_once(f"primer: {remark}")
    if _uses_cache(mode, "train") and validation.validation():
        for part in seqio.get_subtasks(preflight.find_task(task)):
            text_stamps.require_unchanged(part)
    if is_evaluation() or (mode == "train" and validation.validation()):
        whole_documents.check_task(task)
        protocol = protocols.configured_protocol()
        protocol.check_units(task)
        if _length():
            protocol.check_stride(_length())


@callbacks.at_start
def record_texts(model_dir: str) -> None:
    """Records the texts that the run trains on; says which an earlier session read otherwise."""
    task = configured("mesh_train_dataset_fn.mixture_or_task_name")
    if not task:
        return
    parts, use_cached = seqio.get_subtasks(preflight.find_task(task)), _uses_cache("train", "train")
    path = os.path.join(model_dir, model_directory.TEXTS)
    if not use_cached:
        text_stamps.say_changes(path, parts)
    text_stamps.record(path, parts, use_cached)


def _length():
    """Tokens of the model's window; utils.run also accepts one number for inputs and targets."""
    length = configured("utils.run.sequence_length", 0)
    return length if isinstance(length, int) else length.get("targets", 0)


@callbacks.explain_with
def name_the_damaged_file(error: Exception) -> Exception | None:
    """Returns a RunError that names the run's file with a damaged record, or None."""
    task = configured("mesh_train_dataset_fn.mixture_or_task_name")
    parts = seqio.get_subtasks(preflight.find_task(task)) if task else []
    with console.redirected_to_log(None, "search"):  # TensorFlow logs each damaged record.
        return next(filter(None, (corrupt_records.diagnose(part, error) for part in parts)), None)


def _uses_cache(mode, split):
    """Whether the run reads prepared data of the split; whole splits are read as texts."""
    if is_evaluation() or (mode == "train" and split == VALIDATION):
        return False
    function = "mesh_train_dataset_fn" if mode == "train" else "mesh_eval_dataset_fn"
    return bool(configured(f"{function}.use_cached", False))


def _splits(mode):
    """The splits that the run reads."""
    if is_evaluation():
        return [configured("evaluate_checkpoints.split", VALIDATION)]
    if _trainer().endswith(("generate_text", "score_texts")):
        return []
    if mode == "train":
        return ["train"] + ([VALIDATION] if validation.validation() else [])
    if mode in ("eval", "perplexity_eval", "score_eval", "score_from_dataset"):
        return [configured("utils.run.dataset_split", "train")]
    return []


def is_evaluation() -> bool:
    """Returns whether gin binds `evaluate_checkpoints` in place of the trainer."""
    return _trainer().endswith("evaluate_checkpoints")


def _trainer() -> str:
    """The name of the function that gin binds in place of the trainer; "" for Mesh-TF's own."""
    return getattr(bound("utils.run.train_model_fn"), "selector", "")


callbacks.set_validator(make_validator)
