"""The vocabulary that a model is planned for: that of its task, or where none is named, T5's."""

from typing import TYPE_CHECKING

import gin

from primer.common import checks
from primer.errors import UsageError

if TYPE_CHECKING:
    import seqio

# The size of T5's vocabulary: the published parameter counts of T5's models are for it.
T5 = 32128


@gin.configurable(module="primer")
def planned_vocabulary(size: int | None = None) -> int:
    """Returns the number of token ids for which `primer check` and `primer plan` build a model.

    A run of training takes its task's; `--vocabulary_size` is above both.

    Args:
        size: the number that was published with the model; None: T5's.

    Raises:
        UsageError: no whole number from 1.
    """
    return T5 if size is None else checks.whole_number("published_vocabulary_size", size)


def tasks() -> "list[seqio.Task]":
    """Returns the tasks that the data set functions of gin's configuration name.

    Raises:
        UsageError: there is no such task.
    """
    import seqio

    from primer.data import preflight
    from primer.gin_config.values import configured

    functions = ("mesh_train_dataset_fn", "mesh_eval_dataset_fn")
    names = dict.fromkeys(configured(f"{one}.mixture_or_task_name") for one in functions)
    return [
        task for name in names if name for task in seqio.get_subtasks(preflight.find_task(name))
    ]


def of_task() -> int:
    """Returns the number of token ids of the task that trains; without one `planned_vocabulary`.

    Raises:
        UsageError: there is no such task, or its vocabulary cannot be read.
    """
    planned, found = planned_vocabulary(), tasks()
    if not found:
        return planned
    try:
        return found[0].output_features["targets"].vocabulary.vocab_size
    except Exception as error:  # Of its file, which may be missing or remote.
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UsageError(
            f"the vocabulary of the task {found[0].name} cannot be read ({reason}); give "
            "--vocabulary_size"
        ) from error
