"""A text in B parallel columns: row b of batch t + 1 continues row b of batch t.

An epoch is a stream of N tokens: all documents in that epoch's order, each with its end token.
Column b has the stream's b-th part: N // B tokens, one more in the first N mod B columns, so that
every token occurs exactly once. The column continues with its part of the next epoch, so that rows
stay full and columns in step where an epoch ends. A row is computed from its number alone: that
number is the position from which a run resumes, and hosts can divide the columns.
"""

import numpy as np
import seqio
import tensorflow as tf

from primer.data.objectives.epoch_streams import EpochStreams
from primer.data.objectives.shuffled_rows import ENDLESS
from primer.errors import UsageError


class Columns:
    """The rows of a text that is laid out in columns.

    Args:
        streams: the documents in each epoch's order.
        columns: their number, B.
        length: tokens in a row.

    Raises:
        UsageError: a column would be shorter than a row.

    Attributes:
        total: tokens of an epoch, N.
        columns, length: as in Args.
    """

    def __init__(self, streams: EpochStreams, columns: int, length: int) -> None:
        self.total = streams.total
        if self.total < columns * length:
            raise UsageError(
                f"lm_stream: the split has {self.total:,} tokens, too few for {columns} columns of "
                f"at least one row of {length}; use fewer rows (utils.run.batch_size), shorter "
                "ones (utils.run.sequence_length), or more text"
            )
        self.columns = columns
        self.length = length
        self._streams = streams

    def first(self, column: int) -> int:
        """Returns where a column's part of an epoch's stream begins."""
        share, longer = divmod(self.total, self.columns)
        return column * share + min(column, longer)

    def size(self, column: int) -> int:
        """Returns the tokens of a column's part of an epoch."""
        return self.first(column + 1) - self.first(column)

    def row(self, step: int, column: int, num_epochs: int | None = None) -> np.ndarray:
        """Returns a column's row of batch `step`: [length] int32, shorter where epochs end."""
        size, begin = self.size(column), step * self.length
        end = begin + self.length
        if num_epochs is not None:
            begin, end = (min(place, size * num_epochs) for place in (begin, end))
        parts = []
        while begin < end:
            epoch, offset = divmod(begin, size)
            until = min(size, offset + end - begin)
            first = self.first(column)
            parts += self._streams.parts(epoch, first + offset, first + until)
            begin += until - offset
        return np.concatenate([np.zeros(0, np.int32), *parts]).astype(np.int32)


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
    hosts, host = (shard.num_shards, shard.index) if shard else (1, 0)
    if columns.columns % hosts:
        raise UsageError(
            f"lm_stream.columns is {columns.columns}; expected a multiple of the {hosts} hosts "
            "(utils.run.batch_size)"
        )
    own = columns.columns // hosts

    def row(number):
        step, place = divmod(int(number), own)
        return columns.row(step, host * own + place, num_epochs)

    def read_row(number):
        ids = tf.numpy_function(row, [number], tf.int32, stateful=False)
        return {"targets": tf.ensure_shape(ids, [None])}

    count = ENDLESS
    if num_epochs is not None:
        count = -(-columns.size(0) * num_epochs // columns.length) * own
    numbers = tf.data.Dataset.range(count)
    return numbers.map(read_row, tf.data.AUTOTUNE, deterministic=True)
