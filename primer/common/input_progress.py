"""What the input pipeline tells whoever trains: the size of an epoch, columns of text.

Data may not import the runtime, nor the runtime data. While training builds its pipeline it
listens; a task then reports what its documents are, an objective that lays text out in columns how
many there are. Where nobody listens (on a TPU, whose host may run the pipeline in another process)
nothing is added to the pipeline.

Reading runs ahead of training, by epochs where the texts are few. Epochs are therefore counted in
tokens: those that were trained on, over those of all documents.
"""

import contextlib

_listeners = []


class InputProgress:
    """What a pipeline has reported so far. TensorFlow's threads write, the training loop reads.

    Args:
        say: a function of a line that is to be shown at once.

    Attributes:
        columns: rows of a batch that continue those of the batch before, or None.
        shares: task -> the odds of its rows, where a mixture draws them.
    """

    def __init__(self, say=lambda line: None):
        self.say = say
        self.columns = None
        self.shares = {}
        self._sizes = {}
        self._begun = {}

    def set_epoch_size(self, task: str, documents: int, tokens: int) -> None:
        """Takes the size of an epoch of a task; zeros while its documents are read a first time."""
        self._sizes[task] = (documents, tokens)

    def describe_epochs(self, trained: int) -> str:
        """A few words for a progress line; empty while nothing is known.

        Args:
            trained: tokens so far, of all tasks.
        """
        numbers = {task: self._epoch(task, trained) for task in sorted(self._sizes)}
        if len(numbers) == 1 and not self.shares:
            return f"epoch {next(iter(numbers.values()))}"
        parts = [f"{task} {number}" for task, number in numbers.items() if task in self.shares]
        return f"epoch {', '.join(parts)}" if parts else ""

    def epoch_messages(self, trained: int) -> list:
        """The lines of what has happened since they were last asked for."""
        lines = []
        for task, (documents, tokens) in sorted(self._sizes.items()):
            if self.shares and task not in self.shares:
                continue
            epoch = self._epoch(task, trained)
            if self._begun.get(task) == 1 and epoch > 1:
                lines.append(
                    f"{task}: as many tokens as all {documents:,} documents have ({tokens:,}) have "
                    "been trained on; another epoch begins."
                )
            self._begun[task] = epoch
        return lines

    def _epoch(self, task, trained):
        """The number of the epoch, from 1, that a task is in."""
        tokens = self._sizes[task][1]
        share = self.shares.get(task, 1) / (sum(self.shares.values()) or 1)
        return int(trained * share) // tokens + 1 if tokens else 1


@contextlib.contextmanager
def reporting_to(reading: InputProgress):
    """Lets the pipelines that are built inside the block report to `reading`."""
    _listeners.append(reading)
    try:
        yield reading
    finally:
        _listeners.pop()


def current() -> InputProgress | None:
    """Who listens while a pipeline is being built; None for nobody."""
    return _listeners[-1] if _listeners else None
