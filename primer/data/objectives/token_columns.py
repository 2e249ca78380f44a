"""A text in B parallel columns: row b of batch t + 1 continues row b of batch t.

An epoch is a stream of N tokens: all documents in that epoch's order, each with its end token.
Column b has the stream's b-th part: N // B tokens, one more in the first N mod B columns, so that
every token occurs exactly once. The column continues with its part of the next epoch, so that rows
stay full and columns in step where an epoch ends. A row is computed from its number alone: that
number is the position from which a run resumes, and hosts can divide the columns.
"""

import functools
import tempfile
from collections.abc import Callable, Iterable

import numpy as np
import seqio
import tensorflow as tf

from primer.common import tf_data
from primer.errors import RunError, UsageError

_DOCUMENTS_AT_ONCE = 256
_ENDLESS = np.iinfo(np.int64).max


class Tokens:
    """The tokens of documents in an unnamed temporary file, which vanishes with the process.

    Args:
        blocks: (ids of several documents, one after the other, and the lengths of these documents).
        vocab_size: the size of the vocabulary, which decides the bytes of a token.

    Raises:
        RunError: the temporary file cannot be written.

    Attributes:
        ids: all tokens, one document after the other [N].
        starts: where each document begins, and N at the end [documents + 1].
    """

    def __init__(self, blocks: Iterable[tuple[np.ndarray, np.ndarray]], vocab_size: int) -> None:
        dtype = np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.int32)
        lengths = [np.zeros(1, np.int64)]
        self._file = tempfile.TemporaryFile()
        try:
            for ids, sizes in blocks:
                self._file.write(ids.astype(dtype).tobytes())
                lengths.append(sizes.astype(np.int64))
            self._file.flush()
        except OSError as error:
            raise RunError(
                f"the tokens of the text cannot be written to {tempfile.gettempdir()} ({error}); "
                f"set TMPDIR to a folder with enough space: {dtype.itemsize} bytes a token"
            ) from error
        self.starts = np.cumsum(np.concatenate(lengths))
        # An empty file cannot be memory-mapped.
        self.ids = np.memmap(self._file, dtype, "r") if self.starts[-1] else np.zeros(0, dtype)


def collect_tokens(
    make_documents: Callable[[], tf.data.Dataset], vocabulary: seqio.Vocabulary
) -> Tokens:
    """Reads all tokenized documents in order and returns their tokens.

    Args:
        make_documents: builds a finite data set of {"targets": ids [length]}.
        vocabulary: the vocabulary of the ids; its end token is added to each document.
    """

    def batches():
        ids = make_documents().map(lambda example: example["targets"])
        return ids.ragged_batch(_DOCUMENTS_AT_ONCE)

    def blocks():
        for batch in tf_data.elements(batches):
            yield (
                np.insert(batch.values, batch.row_splits[1:], vocabulary.eos_id),
                (np.diff(batch.row_splits) + 1),
            )

    return Tokens(blocks(), vocabulary.vocab_size)


class Columns:
    """The rows of a text that is laid out in columns.

    Args:
        tokens: the documents.
        columns: their number, B.
        length: tokens in a row.
        seed: the seed of each epoch's order of documents; None keeps the order they have.

    Raises:
        UsageError: a column would be shorter than a row.

    Attributes:
        total: tokens of an epoch, N.
        columns, length: as in Args.
    """

    def __init__(self, tokens: Tokens, columns: int, length: int, seed: int | None) -> None:
        self.total = int(tokens.starts[-1])
        if self.total < columns * length:
            raise UsageError(
                f"lm_stream: the split has {self.total:,} tokens, too few for {columns} columns of "
                f"at least one row of {length}; use fewer rows (utils.run.batch_size), shorter "
                "ones (utils.run.sequence_length), or more text"
            )
        self.columns = columns
        self.length = length
        self._tokens = tokens
        self._seed = seed
        self._order = functools.lru_cache(maxsize=4)(self._make_order)

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
            parts += self._read(epoch, self.first(column) + offset, self.first(column) + until)
            begin += until - offset
        return np.concatenate(parts or [[]]).astype(np.int32)

    def _read(self, epoch, begin, end):
        """Returns the parts of documents between two positions of an epoch's stream."""
        order, ends = self._order(epoch)
        parts, number = [], int(np.searchsorted(ends, begin, side="right"))
        while begin < end:
            document_end = self._tokens.starts[order[number] + 1]
            until = min(int(ends[number]), end)
            shift = int(document_end - ends[number])
            parts.append(self._tokens.ids[begin + shift : until + shift])
            begin, number = until, number + 1
        return parts

    def _make_order(self, epoch):
        """Returns the documents' order in an epoch, and where each ends in the epoch's stream."""
        sizes = np.diff(self._tokens.starts)
        order = np.arange(len(sizes))
        if self._seed is not None:
            # RandomState's numbers are the same in every release of numpy, default_rng's are not.
            order = np.random.RandomState([self._seed & 0xFFFFFFFF, epoch]).permutation(len(sizes))
        return order, np.cumsum(sizes[order])


def row_dataset(
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

    count = _ENDLESS
    if num_epochs is not None:
        count = -(-columns.size(0) * num_epochs // columns.length) * own
    numbers = tf.data.Dataset.range(count)
    return numbers.map(read_row, tf.data.AUTOTUNE, deterministic=True)
