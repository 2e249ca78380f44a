"""A seqio data source of documents that functions of this package read from files.

Its examples hold a text under the key "text", in the order of the files. `check(split)` reports in
one line why a split cannot be read, before a pipeline is built; no method uses a network.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import seqio
import tensorflow as tf

from primer.common import tf_data
from primer.data.sources.availability import Availability
from primer.data.sources.readers import SkipCounts


class ShardReader(Protocol):
    """Reads a share of a source's documents without reading the others; a module or an object."""

    def read_shard(
        self, index: int, shards: int, skipped: SkipCounts, seed: int | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """Yields (split, text) of the documents of one shard, a stratified sample of all.

        Args:
            index, shards: the shard's index, and the number of shards.
            skipped: counts the documents left out.
            seed: selects the documents of each shard; None for the order of the source.
        """

    def total_bytes(self) -> int:
        """Returns the stored size of all documents."""

    def describe_input(self) -> dict:
        """Returns what the manifest of a prepared data set records about the documents."""


class DocumentSource(seqio.DataSource):
    """Documents that a function reads from files.

    Args:
        dataset_fn: (split) -> data set of {"text": scalar string}.
        splits: the names of the splits.
        check: (split) -> a remark or None; raises UsageError when the split cannot be read.
        texts_fn: (split) -> data set of the texts that evaluation counts, in order, as
            {"text": scalar string}; None if they are the documents that training reads.
        availability_fn: () -> Availability of the files; must be quick and use no network.
        unit: what such a text is: a "document", a "line", or the whole "split".
        part_fn: (split, index, parts, seed) -> data set of part `index` of `parts` of a split.
        files_fn: (split) -> the files that hold a split; None if they are not known.
        shard_reader: reads one shard of a prepared data set, as the module `text_parts` does;
            None reads all documents and keeps every n-th one.
        document_files_fn: (split) -> the file of each document, in order.
    """

    def __init__(
        self,
        dataset_fn: Callable[[str], tf.data.Dataset],
        splits: Sequence[str],
        check: Callable[[str], str | None],
        texts_fn: Callable[[str], tf.data.Dataset] | None = None,
        availability_fn: Callable[[], Availability] | None = None,
        unit: str = "document",
        part_fn: Callable[[str, int, int, int | None], tf.data.Dataset] | None = None,
        files_fn: Callable[[str], Sequence[str]] | None = None,
        shard_reader: ShardReader | None = None,
        document_files_fn: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        # seqio caches a source in memory if it reports a small number of examples. That would put
        # the corpus into every checkpoint of the pipeline's position and repeat the first epoch's
        # order, so the number is not reported.
        super().__init__(splits=tuple(splits), num_input_examples=None)
        self._dataset_fn = dataset_fn
        self._check = check
        self._texts_fn = texts_fn
        self._availability_fn = availability_fn
        self.unit = unit
        self._part_fn = part_fn
        self._files_fn = files_fn
        self.shard_reader = shard_reader
        self._document_files_fn = document_files_fn

    def texts(self, split: str) -> tf.data.Dataset:
        """Returns the texts that evaluation counts, in order, as {"text": scalar string}."""
        if self._texts_fn:
            return self._texts_fn(split)
        return self._dataset_fn(split)

    def document_files(self, split: str) -> Sequence[str] | None:
        """Returns the file of each document of a split, in order; None if they are not known."""
        return self._document_files_fn(split) if self._document_files_fn else None

    def input_files(self, split: str) -> Sequence[str]:
        """Returns the files that hold a split; empty if they are not known."""
        return self._files_fn(split) if self._files_fn else ()

    def describe_availability(self, data_dir: str | None = None) -> Availability | None:
        """Describes where the files are; None if the source has no `availability_fn`."""
        del data_dir
        return self._availability_fn() if self._availability_fn else None

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """False: seqio may split the source only at the shards that it lists."""
        return False

    def list_shards(self, split: str) -> Sequence[str]:
        """Returns one shard, the split."""
        return [split]

    def check(self, split: str, data_dir: str | None = None) -> str | None:
        """Returns a remark on the split or None; raises UsageError if it cannot be read."""
        del data_dir
        return self._check(split)

    def part(self, split: str, index: int, parts: int, seed: int | None = None) -> tf.data.Dataset:
        """Returns part `index` of `parts` of a split; the parts are disjoint.

        Args:
            split: the split.
            index, parts: which part of how many.
            seed: selects the documents of each part; None for every n-th one of the source.
        """
        if self._part_fn:
            return self._part_fn(split, index, parts, seed)
        return self._dataset_fn(split).shard(parts, index)

    def count(self, split: str) -> int:
        """Returns the number of documents of a split; reads them all."""
        documents = functools.partial(self._dataset_fn, split)
        return tf_data.count(documents)

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        *,
        sequence_length: dict[str, int] | None = None,
        use_cached: bool = False,
        num_epochs: int | None = 1,
    ) -> tf.data.Dataset:
        """Returns the documents of a split in order, as {"text": scalar string}.

        `primer.data.document_task.DocumentTask` gives them an order of their own in each epoch. A
        task of another class gets them in this one, whatever `shuffle` is.

        Args:
            split, shard_info: as for `seqio.DataSource.get_dataset`.
            shuffle, seed, sequence_length, use_cached, num_epochs: of seqio; without effect.
        """
        del shuffle, seed, sequence_length, use_cached, num_epochs
        return tf_data.shard_of(self._dataset_fn(split), shard_info)
