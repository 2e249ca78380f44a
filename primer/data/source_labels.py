"""Where the tokens of training rows come from: the pipeline itself, with a label for each token.

Inside `labelling`, a task gives every token the number of its source (a file, or in a mixture the
task) in place of its id. Objective, orders, buffers and sampling are those of training, so that the
labels of a row tell the sources of the row that training reads in its place.
"""

import collections
import contextlib
import contextvars
from collections.abc import Callable, Iterator

import numpy as np
import seqio
import tensorflow as tf

from primer.data.objectives.stored_tokens import StoredTokens
from primer.data.sources.document_source import DocumentSource
from primer.errors import RunError


class SourceLabels:
    """The labels of sources, in the order in which tasks have asked for them.

    Args:
        by_task: whether a source is a task, not a file.
        first: the first label; ids below it (end tokens, padding) are those of the vocabulary.

    Attributes:
        tokens: source -> all its tokens, of stored documents.
    """

    def __init__(self, by_task: bool, first: int) -> None:
        self.tokens: dict[str, int] = {}
        self._by_task = by_task
        self._first = first

    def of_stored(
        self, task: seqio.Task, split: str, make_tokens: Callable[[], StoredTokens]
    ) -> StoredTokens:
        """Returns the labels of stored tokens, as stored tokens."""
        starts = make_tokens().starts
        names = self._names(task, split, len(starts) - 1)
        found = {name: self._number(name) for name in dict.fromkeys(names)}
        numbers = np.array([found[name] for name in names], np.int32)
        sizes = np.bincount(numbers, np.diff(starts), len(self.tokens))
        for name, number in found.items():
            self.tokens[name] = int(sizes[number])
        return _LabelledTokens(starts, numbers + self._first)

    def of_streamed(self, task: seqio.Task, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Returns documents {"targets": ids [length]} with the label of their task for each id."""
        label = self._number(task.name) + self._first

        def mark(example):
            return {"targets": tf.fill(tf.shape(example["targets"]), label)}

        return dataset.map(mark, tf.data.AUTOTUNE)

    def count(self, ids: np.ndarray) -> collections.Counter[str]:
        """Returns the number of each source's tokens in a row."""
        names = list(self.tokens)
        labels, numbers = np.unique(ids[ids >= self._first], return_counts=True)
        return collections.Counter(
            {names[label - self._first]: int(n) for label, n in zip(labels, numbers, strict=True)}
        )

    def _names(self, task, split, documents):
        if self._by_task or not isinstance(task.source, DocumentSource):
            return [task.name] * documents
        names = task.source.document_files(split) or [task.name] * documents
        if len(names) != documents:
            raise RunError(
                f"the files of {task.name} have {len(names):,} documents, and {documents:,} were "
                "read; they changed in between: inspect them again"
            )
        return names

    def _number(self, name):
        self.tokens.setdefault(name, 0)
        return list(self.tokens).index(name)


class _LabelledTokens:
    """As `StoredTokens`; the id of a token is the label of its document."""

    def __init__(self, starts, labels):
        self.starts = starts
        self._labels = labels

    def read(self, begin, end):
        places = np.arange(begin, end)
        return self._labels[np.searchsorted(self.starts, places, side="right") - 1]


_current: contextvars.ContextVar[SourceLabels | None]
_current = contextvars.ContextVar("source_labels", default=None)


@contextlib.contextmanager
def labelling(labels: SourceLabels) -> Iterator[SourceLabels]:
    """Makes the data sets that the block builds label their tokens; yields the labels."""
    token = _current.set(labels)
    try:
        yield labels
    finally:
        _current.reset(token)


def current() -> SourceLabels | None:
    """Returns the labels of the data set under construction; None outside `labelling`."""
    return _current.get()
