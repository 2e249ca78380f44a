"""The documents of a task on their way into columns: what `lm_stream` gets in place of a data set.

Columns need the number of all tokens before the first row, so the documents cannot flow by.
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
    """Documents that are read once when the first row is asked for.

    Attributes:
        task: the name of the task.
        make_documents: builds a finite data set of {"targets": ids [length]}.
        vocabulary: of the ids.
        shuffle, seed: whether the documents get a new order each epoch, and of which seed; a seed
            of None is another one each time.
        num_epochs: None for ever.
        shard: whose columns to give, where hosts divide them.
    """

    task: str
    make_documents: Callable
    vocabulary: seqio.Vocabulary
    shuffle: bool
    seed: int | None
    num_epochs: int | None
    shard: seqio.ShardInfo | None

    def rows(self, number: int, length: int) -> tf.data.Dataset:
        """The rows of the text in so many columns, in the order in which batches take them."""
        reading = input_progress.current()
        if reading:
            reading.say(f"{self.task}: reading the whole text once, to lay it out in columns.")
        tokens = token_columns.collect_tokens(self.make_documents, self.vocabulary)
        text = token_columns.Columns(tokens, number, length, self._order_seed())
        if reading:
            documents = len(tokens.starts) - 1
            reading.columns = number
            reading.set_epoch_size(self.task, documents, text.total)
            reading.say(
                f"{self.task}: {text.total:,} tokens of {documents:,} documents in {number} "
                "columns."
            )
        return token_columns.row_dataset(text, self.num_epochs, self.shard)

    def _order_seed(self):
        if not self.shuffle:
            return None
        return np.random.SeedSequence().entropy & 0x7FFFFFFF if self.seed is None else self.seed
