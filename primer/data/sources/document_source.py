"""Where documents come from: seqio data sources that never wait for a network.

Both kinds give examples with a text under one key, in an order that a seed fixes, and both have
`check(split)`, which says in one line why a split cannot be read, before any pipeline is built.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import seqio
import tensorflow as tf

from primer.common import tf_data
from primer.data.sources import readers
from primer.data.sources.availability import Availability


class ShardReader(Protocol):
    """Reads a share of a source's documents without reading the others; a module or an object."""

    def read_shard(
        self, index: int, shards: int, notes: readers.SkipCounts
    ) -> Iterator[tuple[str, bytes]]:
        """Yields (split, text) of the documents of one shard."""

    def total_bytes(self) -> int:
        """Returns the size of all files."""

    def describe_input(self) -> dict:
        """Returns what the manifest of a prepared data set records about the files."""


class DocumentSource(seqio.DataSource):
    """Documents that a function of ours reads from files.

    Args:
        dataset_fn: (split, shuffle, seed) -> data set of {"text": scalar string}.
        splits: the names of the splits.
        check: (split) -> a remark or None; raises UsageError when the split cannot be read.
        texts_fn: (split) -> the texts that evaluation counts, in order, where they are not the
            documents that training reads; as data set of {"text": scalar string}.
        availability_fn: () -> Availability of the files; must be quick and ask no network.
        unit: what such a text is: a "document", a "line", or the whole "split".
        part_fn: (split, index, parts) -> the data set of one of so many parts of a split.
        shard_reader: reads one shard of a prepared data set, as the module `text_parts` does;
            None reads all documents and keeps every n-th one.
    """

    def __init__(
        self,
        dataset_fn: Callable,
        splits: Sequence[str],
        check: Callable,
        texts_fn: Callable | None = None,
        availability_fn: Callable[[], Availability] | None = None,
        unit: str = "document",
        part_fn: Callable | None = None,
        shard_reader: ShardReader | None = None,
    ):
        # seqio keeps a source with a known, small number of examples in memory. Ours are read
        # from files again each epoch, in a new order, and a checkpoint of the pipeline's position
        # does not contain the corpus: so the number is left unknown.
        super().__init__(splits=tuple(splits), num_input_examples=None)
        self._dataset_fn = dataset_fn
        self._check = check
        self._texts_fn = texts_fn
        self._availability_fn = availability_fn
        self.unit = unit
        self._part_fn = part_fn
        self.shard_reader = shard_reader

    def texts(self, split: str) -> tf.data.Dataset:
        """The texts of a split that evaluation counts, in order, as {"text": scalar string}."""
        if self._texts_fn:
            return self._texts_fn(split)
        return self._dataset_fn(split, False, None)

    def describe_availability(self, data_dir: str | None = None) -> Availability | None:
        """Where its files are, or None where nobody said how to find that out."""
        del data_dir
        return self._availability_fn() if self._availability_fn else None

    @property
    def supports_arbitrary_sharding(self) -> bool:
        return False

    def list_shards(self, split: str) -> Sequence[str]:
        return [split]

    def check(self, split: str, data_dir: str | None = None) -> str | None:
        del data_dir
        return self._check(split)

    def part(self, split: str, index: int, parts: int) -> tf.data.Dataset:
        """One of `parts` parts of a split, each document in one of them, in order."""
        if self._part_fn:
            return self._part_fn(split, index, parts)
        return self._dataset_fn(split, False, None).shard(parts, index)

    def count(self, split: str) -> int:
        """The number of documents of a split; reads them all."""
        documents = functools.partial(self._dataset_fn, split, False, None)
        return tf_data.count(documents)

    def get_dataset(
        self,
        split="train",
        shuffle=True,
        seed=None,
        shard_info=None,
        *,
        sequence_length=None,
        use_cached=False,
        num_epochs=1,
    ) -> tf.data.Dataset:
        del sequence_length, use_cached, num_epochs
        dataset = self._dataset_fn(split, shuffle, seed)
        if shard_info and shard_info.num_shards > 1:
            dataset = dataset.shard(shard_info.num_shards, shard_info.index)
        return dataset
