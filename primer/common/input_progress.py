"""What an input pipeline reports to the training loop: its files, an epoch's size, text columns.

The training loop builds its pipeline inside `reporting_to`. A task then reports the files that it
reads and the size of its documents, and an objective that lays text out in columns reports their
number. Outside of `reporting_to` (on a TPU, whose host may run the pipeline in another process)
nothing is added to the pipeline.

The pipeline prefetches, by whole epochs where the texts are few. Epochs are therefore counted in
trained tokens: tokens trained on so far, over the tokens of the rows that an epoch makes.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class InputProgress:
    """What a pipeline has reported so far. TensorFlow's threads write, the training loop reads.

    Args:
        say: prints a line at once.

    Attributes:
        columns: rows of a batch, each of which continues that of the batch before; or None.
        shares: task -> the sampling rate of its rows, where a mixture draws them.
        tasks: task -> what decides its rows, as plain data.
        files: task -> the files that it reads.
    """

    def __init__(self, say: Callable[[str], object] = lambda line: None) -> None:
        self.say = say
        self.columns: int | None = None
        self.shares: dict[str, float] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.files: dict[str, list[str]] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._last_epochs: dict[str, int] = {}

    def describe_task(self, task: str, files: Sequence[str], **facts: Any) -> None:
        """Stores what decides the rows of a task.

        Args:
            task: its name.
            files: the files that it reads; their content is part of the description.
            facts: further facts, as plain data: the split, the vocabulary.
        """
        self.tasks[task] = facts
        self.files[task] = list(files)

    def set_epoch_size(self, task: str, documents: int, tokens: int) -> None:
        """Stores the size of a task's epoch; both are 0 until the first epoch has been read.

        Args:
            task: the name of the task.
            documents: all documents of the task.
            tokens: the positions of the rows that an epoch makes of them, padding included.
        """
        self._sizes[task] = (documents, tokens)

    def describe_epochs(self, trained: int) -> str:
        """Returns the epoch of each task for the progress line; "" before any size is reported.

        Args:
            trained: tokens trained on so far, of all tasks.
        """
        numbers = {task: self._epoch(task, trained) for task in sorted(self._sizes)}
        if len(numbers) == 1 and not self.shares:
            return f"epoch {next(iter(numbers.values()))}"
        parts = [f"{task} {number}" for task, number in numbers.items() if task in self.shares]
        return f"epoch {', '.join(parts)}" if parts else ""

    def epoch_messages(self, trained: int) -> list[str]:
        """Returns a line for each task that has completed its first epoch since the last call.

        Args:
            trained: tokens trained on so far, of all tasks.
        """
        lines = []
        for task, (documents, tokens) in sorted(self._sizes.items()):
            if self.shares and task not in self.shares:
                continue
            epoch = self._epoch(task, trained)
            if self._last_epochs.get(task) == 1 and epoch > 1:
                lines.append(
                    f"{task}: training has used the {tokens:,} tokens of rows that an epoch of "
                    f"{documents:,} documents makes; another epoch begins."
                )
            self._last_epochs[task] = epoch
        return lines

    def _epoch(self, task: str, trained: int) -> int:
        """Returns the number of a task's current epoch, from 1."""
        tokens = self._sizes[task][1]
        share = self.shares.get(task, 1) / (sum(self.shares.values()) or 1)
        return int(trained * share) // tokens + 1 if tokens else 1


# A context variable because t5, seqio and Mesh-TF lie between the training loop and the tasks, and
# pass no argument of ours on.
_current: contextvars.ContextVar[InputProgress | None] = contextvars.ContextVar(
    "input_progress", default=None
)


@contextlib.contextmanager
def reporting_to(progress: InputProgress) -> Iterator[InputProgress]:
    """Makes the pipelines that the block builds report to `progress`; yields it."""
    token = _current.set(progress)
    try:
        yield progress
    finally:
        _current.reset(token)


def current() -> InputProgress | None:
    """Returns what the pipeline under construction reports to; None outside `reporting_to`."""
    return _current.get()
