"""Checks of tasks, splits and vocabularies that run before training or evaluation starts."""

import difflib

import seqio

from primer.data import mixture, tasks  # noqa: F401  Registers Primer's tasks.
from primer.data.objectives import row_objectives  # noqa: F401
from primer.data.prepared import cache_checks
from primer.errors import UsageError


def find_task(name: str) -> seqio.Task | seqio.Mixture:
    """Returns the registered task or mixture of this name.

    Raises:
        UsageError: there is none.
    """
    names = sorted({*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()})
    if name not in names:
        raise UsageError(
            f"no task or mixture is called {name!r} (MIXTURE_NAME, --task); {_suggestion(name)}, "
            "or import the module that registers it with --module_import"
        )
    return seqio.get_mixture_or_task(name)


def _suggestion(name):
    names = [*tasks.NAMES, mixture.NAME]
    completions = [task for task in names if task.startswith(name)]
    close = completions or difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(names)}"


def check_split(
    task_name: str,
    split: str,
    tfds_data_dir: str | None = None,
    model_vocab_size: int | None = None,
    use_cached: bool = False,
) -> str | None:
    """Raises UsageError unless the split can be read and its ids fit the model.

    Args:
        task_name: a task or a mixture, as MIXTURE_NAME.
        split: the split to read.
        tfds_data_dir: the folder of prepared TensorFlow data sets; None for the run's setting
            (--t5_tfds_data_dir, TFDS_DATA_DIR).
        model_vocab_size: rows of the model's embedding; None skips the comparison.
        use_cached: whether the prepared data are read in place of the task's source.

    Returns:
        Remarks on the data that the run should print, or None.
    """
    subtasks = seqio.get_subtasks(find_task(task_name))
    if len(subtasks) > 1 and row_objectives.is_stream():
        raise UsageError(
            f"the mixture {task_name!r} draws rows from its tasks at random, and lm_stream's rows "
            "continue from batch to batch; train on one task, or use objectives/lm_documents.gin"
        )
    remarks = []
    for task in subtasks:
        if split not in task.splits:
            raise UsageError(
                f"task {task.name} has no split {split!r}; it has {', '.join(task.splits)}"
            )
        _check_vocabulary(task, model_vocab_size)
        if use_cached:
            cache_checks.check_cached_split(task, split)
            continue
        # Sources of other packages may have no such method.
        if hasattr(task.source, "check"):
            remarks.append(task.source.check(split, tfds_data_dir))
    _check_same_vocabulary(subtasks)
    return "; ".join(filter(None, remarks)) or None


def _check_same_vocabulary(subtasks):
    first, *others = subtasks
    for task in others:
        one, other = (t.output_features["targets"].vocabulary for t in (first, task))
        if one != other:
            raise UsageError(
                f"tasks {first.name} and {task.name} have different vocabularies ({one} and "
                f"{other}); expected one for all tasks of a mixture: set task_vocabulary.name (and "
                "model_file) for both"
            )


def _check_vocabulary(task, model_vocab_size):
    size = task.output_features["targets"].vocabulary.vocab_size
    if model_vocab_size is not None and size > model_vocab_size:
        raise UsageError(
            f"the vocabulary of task {task.name} has {size} ids and the model {model_vocab_size}; "
            "set the vocabulary that the model was trained with (task_vocabulary.name, "
            "task_vocabulary.model_file), or train a model on this one"
        )
