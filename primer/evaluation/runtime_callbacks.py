"""Brings the runtime, the data and the evaluation together; `t5_imports` imports it.

The runtime offers two places to fill, because it may not import data or evaluation: checks before
the long work, and what `--eval_every` evaluates.
"""

import seqio

from primer.common import console
from primer.data import preflight, whole_documents
from primer.data.sources import corrupt_records
from primer.evaluation import evaluate, protocols
from primer.gin_config.values import bound, configured
from primer.runtime import callbacks, estimator_model
from primer.runtime.training import validation

VALIDATION = "validation"


def make_validator(estimator):
    """A function of a checkpoint's path: its totals on the whole validation split, as a dict.

    The split is read and the graph is built once.
    """
    task, protocol = estimator_model.task_name(), protocols.chosen()
    split_text = protocol.read(task, VALIDATION, estimator_model.length_of(estimator))
    scorer = evaluate.scorer_of(estimator)

    def totals(path):
        scorer.restore(path)
        return {
            **protocol.evaluate(scorer, split_text).as_dict(),
            "split": VALIDATION,
            "how": protocol.describe(VALIDATION, scorer.length, scorer.caveats),
        }

    return totals


@callbacks.before_run
def check_data(mode):
    """Raises UsageError where a split that the run will read cannot be read."""
    task = configured("mesh_train_dataset_fn.mixture_or_task_name")
    if not task:
        return
    for split in _splits(mode):
        remark = preflight.check_split(task, split, use_cached=_uses_cache(mode, split))
        if remark:
            console.say_once(f"primer: {remark}")
    if is_evaluation() or (mode == "train" and validation.validation()):
        whole_documents.check_task(task)
        protocols.chosen().check_units(task)
        if _length():
            protocols.chosen().check(_length())


def _length():
    """Tokens of the model's window; utils.run also takes one number for inputs and targets."""
    length = configured("utils.run.sequence_length", 0)
    return length if isinstance(length, int) else length.get("targets", 0)


@callbacks.explain_with
def name_the_damaged_file(error):
    """A RunError that names the file of a damaged record; None where no file of the run has one."""
    task = configured("mesh_train_dataset_fn.mixture_or_task_name")
    parts = seqio.get_subtasks(preflight.find_task(task)) if task else []
    with console.redirected_to_log(
        None, "search"
    ):  # TensorFlow writes a line of its own on what is found.
        return next(filter(None, (corrupt_records.diagnose(part, error) for part in parts)), None)


def _uses_cache(mode, split):
    """Whether the run reads prepared data of the split; whole splits are read as texts."""
    if is_evaluation() or (mode == "train" and split == VALIDATION):
        return False
    function = "mesh_train_dataset_fn" if mode == "train" else "mesh_eval_dataset_fn"
    return bool(configured(f"{function}.use_cached", False))


def _splits(mode):
    """The splits that the run will read."""
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
    """Whether `evaluate_checkpoints` takes the trainer's place."""
    return _trainer().endswith("evaluate_checkpoints")


def _trainer() -> str:
    """The name of the function that gin puts in the trainer's place; "" for Mesh-TF's own."""
    return getattr(bound("utils.run.train_model_fn"), "selector", "")


callbacks.set_validator(make_validator)
