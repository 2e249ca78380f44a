"""A seqio task of whole documents, which follows the objective that gin names.

Under T5's objectives it behaves like any seqio task. Under Primer's (`primer.data.objectives`) its
rows get no end token, and a text in columns is not reordered.

Prepared data are checked before they are read. They are never cached in memory, as seqio does with
fewer than 10,000 documents: they would be part of every checkpoint of the pipeline's position, and
their files would keep the first epoch's order.
"""

import contextvars
import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

import seqio
import tensorflow as tf
from t5.data import preprocessors

from primer.common import input_progress
from primer.data.objectives import epochs, row_objectives
from primer.data.objectives.column_documents import ColumnDocuments
from primer.data.prepared import cache_checks, manifest

# The number of epochs that `preprocess_postcache` repeats and counts, and where their size is
# reported; None leaves the repetition to seqio. A context variable because seqio's `get_dataset`
# calls that method without the number of epochs.
_counting: contextvars.ContextVar[tuple[int | None, input_progress.InputProgress] | None]
_counting = contextvars.ContextVar("counting", default=None)


class DocumentTask(seqio.Task):
    """A task whose last steps are `unsupervised` and `append_eos_after_trim` of T5 and seqio."""

    @property
    def output_features(self) -> Mapping[str, seqio.Feature]:
        """The features; with `add_eos=False` where the objective ends documents itself."""
        features = super().output_features
        if not row_objectives.ends_documents():
            return features
        return {key: dataclasses.replace(f, add_eos=False) for key, f in features.items()}

    def get_dataset(
        self,
        sequence_length: Mapping[str, int] | None = None,
        split: str = "train",
        *,
        num_epochs: int | None = 1,
        **options: Any,
    ) -> tf.data.Dataset:
        """Returns seqio's data set; reports its files and epochs to `input_progress.current()`.

        Args:
            sequence_length, split, num_epochs, options: as for `seqio.Task.get_dataset`.

        Raises:
            UsageError: the objective cannot be applied to these documents.
        """
        options["try_in_mem_cache"] = False
        progress = input_progress.current()
        if progress is not None:
            self._describe(progress, split, options.get("use_cached", False))
        if row_objectives.is_stream():
            return self._columns(sequence_length, split, num_epochs, **options)
        if (
            num_epochs == 1
            or progress is None
            or self._report_known_size(progress, split, **options)
        ):
            return super().get_dataset(sequence_length, split, num_epochs=num_epochs, **options)
        token = _counting.set((num_epochs, progress))
        try:
            return super().get_dataset(sequence_length, split, num_epochs=1, **options)
        finally:
            _counting.reset(token)

    def _describe(self, progress, split, use_cached):
        """Reports what decides the task's rows."""
        if use_cached:
            files = manifest.split_files(os.fspath(self.cache_dir), split) if self.cache_dir else ()
        else:
            read = getattr(self.source, "input_files", None)
            files = read(split) if read else ()
        vocabulary = manifest.vocabulary_identity(self.output_features["targets"].vocabulary)
        source = "prepared data" if use_cached else "documents"
        progress.describe_task(self.name, files, split=split, source=source, vocabulary=vocabulary)

    def _get_cached_source(self, split, *args, **options):
        cache_checks.check_cached_split(self, split)
        source = super()._get_cached_source(split, *args, **options)
        return cache_checks.list_exactly(source, self.cache_dir, split)

    def _report_known_size(self, progress, split, use_cached=False, **unused) -> bool:
        """Reports the size of an epoch from the cache's statistics; returns False without any."""
        stats = self.get_cached_stats(split) if use_cached else {}
        if "targets_tokens" not in stats:
            return False
        documents = stats["examples"]
        tokens = stats["targets_tokens"] + documents * row_objectives.ends_documents()
        progress.set_epoch_size(self.name, documents, tokens)
        return True

    def preprocess_postcache(
        self,
        dataset: tf.data.Dataset,
        sequence_length: Mapping[str, int] | None,
        seed: int | None = None,
    ) -> tf.data.Dataset:
        """Applies the objective's steps, after repeating the documents if epochs are counted."""
        counting = _counting.get()
        if counting is not None:
            num_epochs, progress = counting
            if _are_tokens(dataset):
                report = functools.partial(progress.set_epoch_size, self.name)
                ends = int(row_objectives.ends_documents())
                dataset = epochs.repeat_and_count(dataset, num_epochs, report, ends)
            else:
                # Tokenized after the cache, or by steps without one: the size is not known here.
                dataset = dataset.repeat(num_epochs)
        return super().preprocess_postcache(dataset, sequence_length, seed)

    def _columns(
        self,
        sequence_length,
        split,
        num_epochs,
        use_cached=False,
        shuffle=True,
        seed=None,
        shard_info=None,
        **unused,
    ):
        """Returns rows in columns: the documents are shuffled before, and no row after it."""

        def make_documents():
            source = self._get_cached_source(split) if use_cached else self.source
            dataset = source.get_dataset(split=split, shuffle=False)
            return dataset if use_cached else self.preprocess_precache(dataset)

        features = self.output_features
        vocabulary = features["targets"].vocabulary
        documents = ColumnDocuments(
            self.name, make_documents, vocabulary, shuffle, seed, num_epochs, shard_info
        )
        return preprocessors.unsupervised(
            documents, output_features=features, sequence_length=sequence_length
        )


def _are_tokens(dataset) -> bool:
    spec = dataset.element_spec
    return isinstance(spec, dict) and "targets" in spec and spec["targets"].dtype.is_integer
