"""The order of each epoch: all documents of a split as one stream, in an order of its own."""

import functools
import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from primer.common import mixed_order
from primer.data.objectives.stored_tokens import StoredTokens
from primer.errors import UsageError

# Rows that are read at the same time belong to two epochs, unless these are very short.
_EPOCHS_KEPT = 2

_Value = TypeVar("_Value")


def kept_for_epochs(make: Callable[[int], _Value]) -> Callable[[int], _Value]:
    """Returns the function of an epoch's number, computed once for all threads that read it."""
    cached, lock = functools.lru_cache(maxsize=_EPOCHS_KEPT)(make), threading.Lock()

    def of_epoch(epoch):
        with lock:
            return cached(epoch)

    return of_epoch


def permutation(size: int, seed: int | None, *numbers: int) -> np.ndarray:
    """Returns the order of `size` things, [size] int64; without a seed the order they have.

    Args:
        size: their number.
        seed: the seed of the run's data order.
        numbers: what else decides the order, such as the epoch.
    """
    if seed is None:
        return np.arange(size)
    return mixed_order.permutation(size, seed, *numbers)


class EpochStreams:
    """The documents of each epoch as a stream, each document with its end token.

    Args:
        task: the name of the task, for messages.
        tokens: the documents.
        seed: the seed of each epoch's order of documents; None keeps the order they have.

    Raises:
        UsageError: there is no document.

    Attributes:
        total: tokens of an epoch, N.
        documents: their number.
    """

    def __init__(self, task: str, tokens: StoredTokens, seed: int | None) -> None:
        self.total = int(tokens.starts[-1])
        self.documents = len(tokens.starts) - 1
        if not self.documents:
            raise UsageError(f"the task {task} has no document in this split; nothing to train on")
        self._tokens = tokens
        self._seed = seed
        self._order = kept_for_epochs(self._make_order)

    def document(self, epoch: int, place: int) -> np.ndarray:
        """Returns the document at a place of an epoch's order, without its end token."""
        number = self._order(epoch)[0][place]
        return self._tokens.read(self._tokens.starts[number], self._tokens.starts[number + 1] - 1)

    def read(self, begin: int, end: int) -> np.ndarray:
        """Returns the tokens between two positions of all epochs' streams, one after the other."""
        parts = []
        while begin < end:
            epoch, offset = divmod(begin, self.total)
            until = min(self.total, offset + end - begin)
            parts += self.parts(epoch, offset, until)
            begin += until - offset
        return np.concatenate([np.zeros(0, np.int32), *parts]).astype(np.int32)

    def parts(self, epoch: int, begin: int, end: int) -> list[np.ndarray]:
        """Returns the parts of documents between two positions of an epoch's stream."""
        if self._seed is None:
            return [self._tokens.read(begin, end)]
        order, ends = self._order(epoch)
        found, place = [], int(np.searchsorted(ends, begin, side="right"))
        while begin < end:
            document_end = self._tokens.starts[order[place] + 1]
            until = min(int(ends[place]), end)
            shift = int(document_end - ends[place])
            found.append(self._tokens.read(begin + shift, until + shift))
            begin, place = until, place + 1
        return found

    def _make_order(self, epoch):
        """Returns the documents' order in an epoch, and where each ends in the epoch's stream."""
        order = permutation(self.documents, self._seed, epoch)
        return order, np.cumsum(np.diff(self._tokens.starts)[order])
