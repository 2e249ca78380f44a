"""What the input pipeline tells whoever trains: passes over the documents, columns of text.

Data may not import the runtime, nor the runtime data. While training builds its pipeline it
listens; a task then reports how often it has read its documents, an objective that lays text out in
columns how many there are. Where nobody listens (on a TPU, whose host may run the pipeline in
another process) nothing is added to the pipeline.
"""

import contextlib

_listeners = []


class Reading:
    """What a pipeline has reported so far. TensorFlow's threads write, the training loop reads.

    Args:
        say: a function of a line that is to be shown at once.

    Attributes:
        columns: rows of a batch that continue those of the batch before, or None.
    """

    def __init__(self, say=lambda line: None):
        self.say = say
        self.columns = None
        self._epochs = {}
        self._sizes = {}
        self._news = []

    def note(self, task: str, epoch: int, documents: int, tokens: int) -> None:
        """Takes the number, from 1, of the epoch that is being read.

        Args:
            task: the name of the task.
            epoch: which pass over its documents.
            documents, tokens: of a whole epoch; 0 as long as none has been read.
        """
        if self._epochs.get(task) == 1 and epoch == 2:
            self._news.append(
                f"{task}: all {documents:,} documents ({tokens:,} tokens) have been read once; "
                "epoch 2 begins."
            )
        self._epochs[task] = max(epoch, self._epochs.get(task, 1))
        if tokens:
            self._sizes[task] = tokens

    def epochs(self, trained: int) -> str:
        """A few words for a progress line; empty where nothing was reported.

        Reading runs ahead, by epochs where the texts are few. One task's epochs are therefore
        counted in tokens: those that were trained on, over those of all its documents. Of several
        tasks it is not known whose the tokens were, and the line has what is being read.

        Args:
            trained: tokens so far.
        """
        if len(self._epochs) == 1:
            size = next(iter(self._sizes.values()), None)
            return f"epoch {1 if size is None else trained // size + 1}"
        parts = [f"{task} {epoch}" for task, epoch in sorted(self._epochs.items())]
        return f"reading epoch {', '.join(parts)}" if parts else ""

    def news(self) -> list:
        """The lines that have not been taken yet."""
        taken = []
        while self._news:
            taken.append(self._news.pop(0))
        return taken


@contextlib.contextmanager
def listening(reading: Reading):
    """Lets the pipelines that are built inside the block report to `reading`."""
    _listeners.append(reading)
    try:
        yield reading
    finally:
        _listeners.pop()


def listener() -> Reading | None:
    """Who listens while a pipeline is being built; None for nobody."""
    return _listeners[-1] if _listeners else None
