"""Registers the evaluation's callbacks with the runtime; `t5_imports` imports this module.

The runtime may not import data or evaluation. It has registries for checks before a run, for
explanations of errors, and for the validator of `--eval_every`.
"""

import contextlib
import functools
import os
from collections.abc import Callable
from typing import Any

import seqio

from primer.checkpoints import checkpoint_files, model_directory
from primer.common import console
from primer.data import preflight, text_stamps, whole_documents
from primer.data.objectives import masked_rows
from primer.data.sources import corrupt_records
from primer.errors import RunError, UsageError
from primer.evaluation import evaluate, protocols
from primer.gin_config.values import bound, configured
from primer.runtime import callbacks
from primer.runtime.training import validation

VALIDATION = "validation"


class Validator:
    """Evaluates checkpoints on the whole validation split while a run trains.

    Its rows are those of `primer eval`, and each finds the rows of the other.

    Args:
        estimator: a LocalEstimator.
        before_batch: called before each batch; what it raises ends an evaluation.
    """

    def __init__(self, estimator: Any, before_batch: Callable[[], None]) -> None:
        self._estimator = estimator
        self._before_batch = before_batch
        self._newest = -1  # The highest step that this object evaluated.

    def recorded(self, path: str) -> dict[str, Any] | None:
        """Returns the row of a checkpoint, or None; the split is not read."""
        try:
            weights = checkpoint_files.fingerprint(path)
        except RunError:  # The evaluation says what is wrong.
            return None
        key = {"step": checkpoint_files.step_of(path), "weights": weights}
        return next((row for row in reversed(self.history()) if key.items() <= row.items()), None)

    def history(self) -> list[dict[str, Any]]:
        """Returns the rows of the model in the order of recording; the split is not read."""
        rows = evaluate.read_results(str(self._estimator.model_dir), VALIDATION).rows
        key = {
            "window": evaluate.window_of(self._estimator),
            "configuration": evaluate.configuration_of(self._estimator),
        }
        return [row for row in rows if key.items() <= row.items()]

    def prepare(self) -> None:
        """Reads the split at the first call."""
        _ = self._evaluator

    @functools.cached_property
    def _evaluator(self):
        return evaluate.make_evaluator(
            self._estimator, VALIDATION, self._open_scorer, announce=False
        )

    @contextlib.contextmanager
    def _open_scorer(self):
        with contextlib.closing(evaluate.make_scorer(self._estimator)) as scorer:
            scorer.before_batch = self._before_batch
            yield scorer

    def evaluate(self, path: str) -> dict[str, Any]:
        """Returns the row of a checkpoint, computed and recorded unless it is known.

        Raises:
            RunError: the checkpoint cannot be read.
        """
        self._drop_later_events(path)
        row = self._evaluator.evaluate(path)
        if row is None:
            raise RunError(self._evaluator.problems[-1])
        return row

    def _drop_later_events(self, path):
        """Drops the events of an earlier training to this step and further, which went elsewhere.

        Only where this training reaches a new step: the best checkpoint, which may be evaluated
        again, is behind it.
        """
        step, results = checkpoint_files.step_of(path), self._evaluator.results
        if step <= self._newest:
            return
        self._newest = step
        settings = self._evaluator.settings
        is_known = results.find_row(settings, step, checkpoint_files.fingerprint(path))
        if not is_known and any(row["step"] >= step for row in results.rows_with(settings)):
            results.drop_events_from(step)

    def close(self) -> None:
        """Closes the session of the scorer and the event file."""
        if "_evaluator" in vars(self):
            self._evaluator.close()


@callbacks.before_run
def check_masked_model(mode: str) -> None:
    """Raises UsageError if a run asks a masked language model for what only causal ones do."""
    if configured("utils.run.model_type") != "aligned":
        if masked_rows.is_chosen():
            raise UsageError(
                f"utils.run.model_type = {configured('utils.run.model_type')!r} and "
                "utils.run.train_dataset_fn = @masked_rows: rows with masks are for 'aligned'; "
                "list objectives/masked_lm.gin after the data set's file"
            )
        return
    if _trainer().endswith(("generate_text", "score_texts")):
        raise UsageError(
            "this model is a masked language model (utils.run.model_type = 'aligned'): it neither "
            "generates nor scores a text from left to right; `primer eval` gives its loss"
        )
    if mode not in ("train", "finetune", "perplexity_eval"):
        raise UsageError(
            f"utils.run.mode = {mode!r} reads left to right, and this model is a masked language "
            "model (utils.run.model_type = 'aligned'); expected train, or primer eval"
        )
    if mode == "perplexity_eval" and masked_rows.is_chosen() and bound("utils.run.eval_dataset_fn"):
        raise UsageError(
            "utils.run.eval_dataset_fn (perplexity_eval.gin) reads rows without masks; use primer "
            "eval, or leave the file out and set utils.run.mode = 'perplexity_eval' and "
            "utils.run.dataset_split = 'validation'"
        )


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
        protocol.check_task(task)
        protocol.check_model(
            is_masked=configured("utils.run.model_type") == "aligned",
            has_memory=configured("segment_recurrence.memory_length") is not None,
        )
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


callbacks.set_validator(Validator)
