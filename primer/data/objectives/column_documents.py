"""The documents of a task for `lm_stream`, which lays them out in columns.

The layout depends on the number of all tokens, so `lm_stream` gets these documents in place of a
data set, and all of them are read before the first row.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import seqio
import tensorflow as tf

from primer.common import input_progress
from primer.data.objectives import token_columns


@dataclasses.dataclass(frozen=True)
class ColumnDocuments:
    """Documents that `rows` reads once.

    Attributes:
        task: the name of the task.
        make_documents: builds a finite data set of {"targets": ids [length]}.
        vocabulary: the vocabulary of the ids.
        shuffle: whether each epoch has its own order of documents.
        seed: the seed of these orders; None draws one each time.
        num_epochs: the number of epochs; None for an endless data set.
        shard: the host whose columns are read, where hosts divide them.
    """

    task: str
    make_documents: Callable[[], tf.data.Dataset]
    vocabulary: seqio.Vocabulary
    shuffle: bool
    seed: int | None
    num_epochs: int | None
    shard: seqio.ShardInfo | None

    def rows(self, number: int, length: int) -> tf.data.Dataset:
        """Reads the documents and returns the rows of `number` columns, in the order of batches.

        Args:
            number: columns, which are the rows of a batch.
            length: tokens in a row.
        """
        progress = input_progress.current()
        if progress:
            progress.say(f"{self.task}: reading the whole text once to lay it out in columns.")
        tokens = token_columns.collect_tokens(self.make_documents, self.vocabulary)
        text = token_columns.Columns(tokens, number, length, self._order_seed())
        if progress:
            documents = len(tokens.starts) - 1
            progress.columns = number
            progress.set_epoch_size(self.task, documents, text.total)
            progress.say(
                f"{self.task}: {text.total:,} tokens of {documents:,} documents in {number} "
                "columns."
            )
        return token_columns.row_dataset(text, self.num_epochs, self.shard)

    def _order_seed(self) -> int | None:
        if not self.shuffle:
            return None
        if self.seed is not None:
            return self.seed
        return int(np.random.SeedSequence().generate_state(1)[0]) & 0x7FFFFFFF
