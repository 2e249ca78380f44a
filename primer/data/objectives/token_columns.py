"""A text in B parallel columns: row b of batch t + 1 continues row b of batch t.

An epoch is a stream of N tokens: all documents in that epoch's order, each with its end token.
Column b has the stream's b-th part: N // B tokens, one more in the first N mod B columns, so that
every token occurs exactly once. The column continues with its part of the next epoch, so that rows
stay full and columns in step where an epoch ends. A row is computed from its number alone: that
number is the position from which a run resumes, and hosts can divide the columns. Rows have one
length, or one for each step (`segment_lengths`).
"""

import dataclasses

import numpy as np
import seqio
import tensorflow as tf

from primer.data.objectives.epoch_streams import EpochStreams
from primer.data.objectives.segment_lengths import EqualLengths, Lengths
from primer.data.objectives.shuffled_rows import ENDLESS
from primer.errors import UsageError


class Columns:
    """The rows of a text that is laid out in columns.

    Args:
        streams: the documents in each epoch's order.
        columns: their number, B.
        length: positions of a row.
        lengths: the tokens of the rows of each step; None: `length` in all.

    Raises:
        UsageError: a column would be shorter than a row.

    Attributes:
        total: tokens of an epoch, N.
        columns, lengths: as in Args.
    """

    def __init__(
        self,
        streams: EpochStreams,
        columns: int,
        length: int,
        lengths: Lengths | None = None,
    ) -> None:
        self.total = streams.total
        if self.total < columns * length:
            raise UsageError(
                f"lm_stream: the split has {self.total:,} tokens, too few for {columns} columns of "
                f"at least one row of {length}; use fewer rows (utils.run.batch_size), shorter "
                "ones (utils.run.sequence_length), or more text"
            )
        self.columns = columns
        self.lengths = lengths or EqualLengths(length)
        self._streams = streams

    def first(self, column: int) -> int:
        """Returns where a column's part of an epoch's stream begins."""
        share, longer = divmod(self.total, self.columns)
        return column * share + min(column, longer)

    def size(self, column: int) -> int:
        """Returns the tokens of a column's part of an epoch."""
        return self.first(column + 1) - self.first(column)

    def row(self, step: int, column: int, num_epochs: int | None = None) -> np.ndarray:
        """Returns a column's row of batch `step`: [its length] int32, shorter where epochs end."""
        size, (begin, end) = self.size(column), self._places(step, column, num_epochs)
        parts = []
        while begin < end:
            epoch, offset = divmod(begin, size)
            until = min(size, offset + end - begin)
            first = self.first(column)
            parts += self._streams.parts(epoch, first + offset, first + until)
            begin += until - offset
        return np.concatenate([np.zeros(0, np.int32), *parts]).astype(np.int32)

    def epochs(self, step: int, column: int, num_epochs: int | None = None) -> np.ndarray:
        """Returns the epoch, from 0, of each token of a row: [its length] int64."""
        begin, end = self._places(step, column, num_epochs)
        return np.arange(begin, end) // self.size(column)

    def _places(self, step, column, num_epochs):
        """Returns where a row begins and ends in its column of all epochs."""
        places = self.lengths.begin(step), self.lengths.begin(step + 1)
        if num_epochs is None:
            return places
        return tuple(min(place, self.size(column) * num_epochs) for place in places)


@dataclasses.dataclass(frozen=True)
class HostRows:
    """The rows of a host, numbered from 0 in the order in which it reads them.

    Attributes:
        text: its columns.
        num_epochs: the number of epochs; None without an end.
        hosts, host: the number of hosts, each with an equal part of every batch, and this one.
    """

    text: Columns
    num_epochs: int | None = None
    hosts: int = 1
    host: int = 0

    @property
    def own(self) -> int:
        """The number of the host's columns, which are consecutive."""
        return self.text.columns // self.hosts

    def count(self) -> int:
        """Returns the number of rows."""
        if self.num_epochs is None:
            return ENDLESS
        return self.text.lengths.steps(self.text.size(0) * self.num_epochs) * self.own

    def row(self, number: int) -> np.ndarray:
        """Returns the tokens of a row."""
        step, column = self._place(number)
        return self.text.row(step, column, self.num_epochs)

    def epochs(self, number: int) -> np.ndarray:
        """Returns the epoch of each token of a row."""
        step, column = self._place(number)
        return self.text.epochs(step, column, self.num_epochs)

    def _place(self, number):
        step, place = divmod(int(number), self.own)
        return step, self.host * self.own + place


def column_dataset(
    columns: Columns,
    num_epochs: int | None = None,
    shard: seqio.ShardInfo | None = None,
) -> tf.data.Dataset:
    """Returns the rows {"targets": [length]} batch by batch, in a batch column by column.

    Args:
        columns: the text.
        num_epochs: the number of epochs, with a last row of each column that may be short or empty;
            None for an endless data set.
        shard: the host whose columns are read; each host has an equal part of every batch.

    Raises:
        UsageError: the number of columns is no multiple of the number of hosts.
    """
    rows = host_rows(columns, num_epochs, shard)

    def read_row(number):
        ids = tf.numpy_function(rows.row, [number], tf.int32, stateful=False)
        return {"targets": tf.ensure_shape(ids, [None])}

    numbers = tf.data.Dataset.range(rows.count())
    return numbers.map(read_row, tf.data.AUTOTUNE, deterministic=True)


def host_rows(
    columns: Columns, num_epochs: int | None = None, shard: seqio.ShardInfo | None = None
) -> HostRows:
    """Returns the rows of `column_dataset`, with its arguments and errors."""
    hosts, host = (shard.num_shards, shard.index) if shard else (1, 0)
    if columns.columns % hosts:
        raise UsageError(
            f"lm_stream.columns is {columns.columns}; expected a multiple of the {hosts} hosts "
            "(utils.run.batch_size)"
        )
    return HostRows(columns, num_epochs, hosts, host)
