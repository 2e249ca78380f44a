"""The stored documents of a task, which an objective gets in place of a data set.

Primer's objectives compute rows from them by number (`shuffled_rows`, `token_columns`). Other
preprocessors get the data set of the documents, in an order of its own in each epoch.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import seqio
import tensorflow as tf

from primer.common import input_progress
from primer.data.objectives import carried_segments, segment_lengths, shuffled_rows, token_columns
from primer.data.objectives.epoch_streams import EpochStreams
from primer.data.objectives.stored_tokens import StoredTokens

# A call of a function takes TensorFlow at least 25 microseconds, more than reading a sentence.
_DOCUMENTS_AT_ONCE = 16
_TOKENS_AT_ONCE = 1 << 16


@dataclasses.dataclass(frozen=True)
class TaskDocuments:
    """Documents with their order in each epoch.

    Attributes:
        task: the name of the task.
        make_tokens: returns the tokens of the documents; called once, when they are needed.
        seed: the seed of the orders; None for the order that the documents have.
        num_epochs: the number of epochs; None for endless data sets.
        shard: the host whose rows are read, where hosts divide them.
    """

    task: str
    make_tokens: Callable[[], StoredTokens]
    seed: int | None
    num_epochs: int | None = None
    shard: seqio.ShardInfo | None = None

    @functools.cached_property
    def tokens(self) -> StoredTokens:
        """The tokens of all documents."""
        return self.make_tokens()

    @functools.cached_property
    def sizes(self) -> np.ndarray:
        """The tokens of each document, without its end token [documents]."""
        return np.diff(self.tokens.starts) - 1

    def columns(
        self, number: int, length: int, variation: segment_lengths.Variation | None = None
    ) -> tf.data.Dataset:
        """Returns the rows of `number` columns, in the order of batches.

        Args:
            number: columns, which are the rows of a batch.
            length: positions of a row.
            variation: how the tokens of a row vary from step to step; None: not.
        """
        lengths = None
        if variation is not None:
            lengths = segment_lengths.VariedLengths(variation, self.seed or 0)
        text = token_columns.Columns(self._streams(), number, length, lengths)
        progress = input_progress.current()
        if progress:
            progress.columns = number
            progress.say(
                f"{self.task}: {text.total:,} tokens of {len(self.sizes):,} documents in {number} "
                "columns."
            )
        carried_segments.report(token_columns.host_rows(text, self.num_epochs, self.shard))
        return token_columns.column_dataset(text, self.num_epochs, self.shard)

    def joined_rows(self, length: int) -> tf.data.Dataset:
        """Returns the rows {"targets": [length]} of the joined documents, in random order."""
        rows = shuffled_rows.JoinedRows(self._streams(), length, self.seed)
        return shuffled_rows.row_dataset(rows, self.num_epochs, self.shard)

    def window_rows(self, length: int) -> tf.data.Dataset:
        """Returns the windows {"targets": [length]} of all documents, in random order."""
        self._streams()  # Checks that there is a document.
        rows = shuffled_rows.WindowRows(self.tokens, length, self.seed)
        return shuffled_rows.row_dataset(rows, self.num_epochs, self.shard)

    def dataset(self) -> tf.data.Dataset:
        """Returns the documents {"targets": ids [any length]} without end tokens."""
        streams = self._streams()
        hosts, host = (self.shard.num_shards, self.shard.index) if self.shard else (1, 0)

        def read(numbers):
            ids = [streams.document(*divmod(int(n), streams.documents)) for n in numbers]
            lengths = np.array(list(map(len, ids)), np.int64)
            return np.concatenate(ids).astype(np.int32), lengths

        def documents(numbers):
            ids, lengths = tf.numpy_function(read, [numbers], [tf.int32, tf.int64], stateful=False)
            values = tf.ensure_shape(ids, [None])
            return tf.RaggedTensor.from_row_lengths(values, tf.ensure_shape(lengths, [None]))

        count = shuffled_rows.ENDLESS
        if self.num_epochs is not None:
            count = streams.documents * self.num_epochs
        numbers = tf.data.Dataset.range(host, count, hosts).batch(self._documents_at_once())
        found = numbers.map(documents, tf.data.AUTOTUNE, deterministic=True).unbatch()
        return found.map(lambda ids: {"targets": ids})

    def _streams(self):
        return EpochStreams(self.task, self.tokens, self.seed)

    def _documents_at_once(self):
        """Returns as many documents of mean size as have _TOKENS_AT_ONCE, within bounds."""
        mean = max(int(np.mean(self.sizes)), 1)
        return min(max(_TOKENS_AT_ONCE // mean, 1), _DOCUMENTS_AT_ONCE)
