"""Rows of a split in an order of their own in each epoch: every row anywhere, no shuffle buffer.

A row is computed from its number alone. The number is the position from which a run resumes, hosts
divide the numbers, and any stretch of an epoch is a uniform sample of its rows, so that each source
of a text has its share of tokens in it, up to the error of sampling.
"""

from typing import Protocol

import numpy as np
import seqio
import tensorflow as tf

from primer.data.objectives.epoch_streams import EpochStreams, kept_for_epochs, permutation
from primer.data.objectives.stored_tokens import StoredTokens

ENDLESS = np.iinfo(np.int64).max
# Distinguishes the order of rows from the order of documents, of the same seed and epoch.
_ROWS = 1


class Rows(Protocol):
    """The rows of all epochs, numbered from 0."""

    def count(self, num_epochs: int) -> int:
        """Returns the number of rows of some epochs."""

    def row(self, number: int, num_epochs: int | None) -> np.ndarray:
        """Returns a row, of some epochs or (None) of endlessly many: [length] int32."""


class JoinedRows:
    """Documents, each with its end token, joined in an epoch's order and cut into full rows.

    Row r of the text begins at token r * length of all epochs' streams, one after the other. The
    rows that begin in an epoch come in an order of the epoch. The last of them is filled up with
    the first tokens of the next epoch, whose first row begins behind these: no token is left out.

    Args:
        streams: the documents.
        length: tokens in a row.
        seed: the seed of each epoch's order of rows; None keeps the order of the text.
    """

    def __init__(self, streams: EpochStreams, length: int, seed: int | None) -> None:
        self._streams = streams
        self._length = length
        self._seed = seed
        self._order = kept_for_epochs(self._make_order)

    def count(self, num_epochs: int) -> int:
        """Returns the number of rows that begin in the first epochs."""
        return -(-num_epochs * self._streams.total // self._length)

    def row(self, number: int, num_epochs: int | None = None) -> np.ndarray:
        """Returns a row: [length] int32, shorter where the last epoch ends."""
        epoch = number * self._length // self._streams.total
        first = self.count(epoch)
        place = first + int(self._order(epoch)[number - first])
        begin, end = place * self._length, (place + 1) * self._length
        if num_epochs is not None:
            end = min(end, num_epochs * self._streams.total)
        return self._streams.read(begin, end)

    def _make_order(self, epoch):
        return permutation(self.count(epoch + 1) - self.count(epoch), self._seed, epoch, _ROWS)


class WindowRows:
    """Consecutive windows of each document with its end token, the last one padded with zeros.

    Args:
        tokens: the documents.
        length: tokens in a row.
        seed: the seed of each epoch's order of windows; None keeps the order of the text.

    Attributes:
        windows: windows of an epoch.
    """

    def __init__(self, tokens: StoredTokens, length: int, seed: int | None) -> None:
        self._tokens = tokens
        self._length = length
        numbers = -(-np.diff(tokens.starts) // length)
        self._firsts = np.concatenate([[0], np.cumsum(numbers)])
        self.windows = int(self._firsts[-1])
        self._order = kept_for_epochs(lambda epoch: permutation(self.windows, seed, epoch, _ROWS))

    def count(self, num_epochs: int) -> int:
        """Returns the number of windows of some epochs."""
        return num_epochs * self.windows

    def row(self, number: int, num_epochs: int | None = None) -> np.ndarray:
        """Returns a window: [length] int32."""
        del num_epochs
        epoch, place = divmod(number, self.windows)
        window = int(self._order(epoch)[place])
        document = int(np.searchsorted(self._firsts, window, side="right")) - 1
        begin = int(self._tokens.starts[document]) + self._length * int(
            window - self._firsts[document]
        )
        end = min(begin + self._length, int(self._tokens.starts[document + 1]))
        row = np.zeros(self._length, np.int32)
        row[: end - begin] = self._tokens.read(begin, end)
        return row


def row_dataset(
    rows: Rows, num_epochs: int | None = None, shard: seqio.ShardInfo | None = None
) -> tf.data.Dataset:
    """Returns the rows {"targets": [length]} in the order of their numbers.

    Args:
        rows: the rows.
        num_epochs: the number of epochs; None for an endless data set.
        shard: the host, which reads the rows whose number modulo the number of hosts is its own.
    """

    def row(number):
        return rows.row(int(number), num_epochs)

    def read_row(number):
        ids = tf.numpy_function(row, [number], tf.int32, stateful=False)
        return {"targets": tf.ensure_shape(ids, [None])}

    count = ENDLESS if num_epochs is None else rows.count(num_epochs)
    hosts, host = (shard.num_shards, shard.index) if shard else (1, 0)
    numbers = tf.data.Dataset.range(host, count, hosts)
    return numbers.map(read_row, tf.data.AUTOTUNE, deterministic=True)
