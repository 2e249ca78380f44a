"""A seqio task of whole documents, which follows the objective that gin names.

Under T5's objectives it behaves like any seqio task. Under Primer's (`primer.data.objectives`) its
rows get no end token.

Where training shuffles documents of local files, they are tokenized once at its start and read in
an order of their own in each epoch (`primer.data.objectives.task_documents`). Other sources stream
their documents, shuffled as far as the source and seqio's buffer of rows do.

Prepared data are checked before they are read. They are never cached in memory, as seqio does with
fewer than 10,000 documents: they would be part of every checkpoint of the pipeline's position, and
their files would keep the first epoch's order.
"""

import contextvars
import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import seqio
import tensorflow as tf
from t5.data import preprocessors

from primer.common import input_progress, user_paths
from primer.data import source_labels
from primer.data.objectives import epoch_size, epochs, row_objectives, stored_tokens
from primer.data.objectives.stored_tokens import StoredTokens
from primer.data.objectives.task_documents import TaskDocuments
from primer.data.prepared import cache_checks, manifest
from primer.data.prepared.prepared_tokens import PreparedTokens
from primer.data.sources import corrupt_records
from primer.data.sources.document_source import DocumentSource

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
        use_cached: bool = False,
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        num_epochs: int | None = 1,
        **options: Any,
    ) -> tf.data.Dataset:
        """Returns the rows; reports files and the size of epochs to `input_progress.current()`.

        Args:
            sequence_length, split, use_cached, seed, shard_info, num_epochs, options: as for
                `seqio.Task.get_dataset`.
            shuffle: whether documents of local files, and their rows, come in an order of their own
                in each epoch; otherwise documents are read in order, as they stream.

        Raises:
            UsageError: the objective cannot be applied to these documents.
        """
        progress = input_progress.current()
        if progress is not None:
            self._describe(progress, split, use_cached)
        make_tokens = None
        if shuffle or row_objectives.is_stream():
            make_tokens = self._stored_tokens(split, use_cached)
        labels = source_labels.current()
        if make_tokens and labels:
            make_tokens = functools.partial(labels.of_stored, self, split, make_tokens)
        if make_tokens:
            order = _seed_of_order(seed) if shuffle else None
            documents = TaskDocuments(self.name, make_tokens, order, num_epochs, shard_info)
            return self._rows_of(documents, sequence_length, seed, **options)
        options |= {"use_cached": use_cached, "shuffle": shuffle, "shard_info": shard_info}
        return self._streamed(sequence_length, split, num_epochs, seed=seed, **options)

    def _stored_tokens(self, split, use_cached) -> Callable[[], StoredTokens] | None:
        """Returns a function that gives the split's `StoredTokens`; None for a stream.

        Every kind of documents whose parts can be read in any order is listed here.
        """
        prepared = self._prepared_tokens(split) if use_cached else None
        if prepared is not None:
            return lambda: prepared
        is_local = isinstance(self.source, DocumentSource) and not use_cached
        if is_local or row_objectives.is_stream():
            return functools.partial(self._collect_tokens, split, use_cached)
        return None

    def _prepared_tokens(self, split) -> PreparedTokens | None:
        """Returns the tokens of a cache with an index; None without one, and for remote caches.

        Reading a document from anywhere costs a request each in a bucket.
        """
        cache_checks.check_cached_split(self, split)
        directory = os.fspath(self.cache_dir or "")
        if user_paths.is_remote(directory):
            return None
        eos_id = self.output_features["targets"].vocabulary.eos_id
        return PreparedTokens.open(directory, split, eos_id)

    def _collect_tokens(self, split, use_cached):
        vocabulary = self.output_features["targets"].vocabulary

        def batches():
            if use_cached:
                source = self._get_cached_source(split)
                return stored_tokens.id_batches(source.get_dataset(split=split, shuffle=False))
            texts = self.source.get_dataset(split=split, shuffle=False)
            steps = self._steps()[0]
            if steps[-1:] != [seqio.preprocessors.tokenize]:
                return stored_tokens.id_batches(self.preprocess_precache(texts))
            texts = self._preprocess_dataset(texts, steps[:-1])
            return stored_tokens.text_batches(texts, vocabulary)

        with corrupt_records.name_corrupt_file(self):
            return stored_tokens.collect_tokens(self.name, batches, vocabulary)

    def _rows_of(
        self,
        documents,
        sequence_length,
        seed,
        shuffle_buffer_size=None,
        trim_output_features=True,
        **unused,
    ):
        """Returns the rows of stored documents, in random order if the documents are."""
        own_order = row_objectives.reads_stored_documents() and self._steps()[1][:1] == [
            preprocessors.unsupervised
        ]
        rows = super().preprocess_postcache(
            documents if own_order else documents.dataset(), sequence_length, seed
        )
        self._report_sizes(documents.sizes, sequence_length)
        rows = self._validate_preprocessing(rows)
        if trim_output_features:
            rows = self._trim_output_features(rows, sequence_length)
        buffer_size = shuffle_buffer_size or self._shuffle_buffer_size
        if documents.seed is not None and not own_order and buffer_size:
            self._say(
                "documents come in random order, the rows of neighbouring ones are shuffled in a "
                f"buffer of {buffer_size:,} rows."
            )
            rows = rows.shuffle(buffer_size, seed=seed)
        return rows.prefetch(tf.data.AUTOTUNE)

    def _steps(self):
        """Returns the preprocessors before seqio's cache, and those after it."""
        steps = list(self.preprocessors)
        if not self.supports_caching:
            return [], steps
        return steps[: self._cache_step_idx], steps[self._cache_step_idx + 1 :]

    def _report_sizes(self, sizes, sequence_length):
        progress, size = input_progress.current(), _epoch_size(sequence_length)
        if progress:
            progress.set_epoch_size(self.name, len(sizes), size.total(sizes))
            left_out = size.left_out(sizes)
            if left_out:
                self._say(f"{left_out}.")

    def _say(self, line):
        progress = input_progress.current()
        if progress:
            progress.say(f"{self.name}: {line}")

    def _streamed(self, sequence_length, split, num_epochs, **options):
        """Returns seqio's data set, whose documents are repeated and counted here."""
        options["try_in_mem_cache"] = False
        progress = input_progress.current()
        if progress and options["shuffle"]:
            buffer_size = options.get("shuffle_buffer_size") or self._shuffle_buffer_size
            self._say(
                "documents stream from files in random order; rows are shuffled in a buffer of "
                f"{buffer_size:,} rows."
            )
        size = _epoch_size(sequence_length)
        if (
            num_epochs == 1
            or progress is None
            or self._report_known_size(progress, split, size, options["use_cached"])
        ):
            return super().get_dataset(sequence_length, split, num_epochs=num_epochs, **options)
        if size.rule():
            self._say(f"{size.rule()}.")
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

    def _report_known_size(self, progress, split, size, use_cached) -> bool:
        """Reports the size of an epoch from the cache's statistics; returns False without any."""
        stats = self.get_cached_stats(split) if use_cached else {}
        if "targets_tokens" not in stats:
            return False
        counts = stats["examples"], stats["targets_tokens"], stats.get("targets_max_tokens")
        positions = size.total_of_counts(*counts)
        if positions is None:
            return False
        progress.set_epoch_size(self.name, stats["examples"], positions)
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
                size = _epoch_size(sequence_length)

                def report(documents, positions):
                    progress.set_epoch_size(self.name, documents, size.scaled(positions))

                positions_of = functools.partial(size.positions, maximum=tf.maximum)
                dataset = epochs.repeat_and_count(dataset, num_epochs, report, positions_of)
            else:
                # Tokenized after the cache, or by steps without one: the size is not known here.
                dataset = dataset.repeat(num_epochs)
        labels = source_labels.current()
        if labels and _are_tokens(dataset):
            dataset = labels.of_streamed(self, dataset)
        return super().preprocess_postcache(dataset, sequence_length, seed)


def _epoch_size(sequence_length):
    return epoch_size.of_objective((sequence_length or {}).get("targets"))


def _seed_of_order(seed) -> int:
    """Returns the seed of the order; one that is drawn if there is none."""
    if seed is not None:
        return seed
    return int(np.random.SeedSequence().generate_state(1)[0]) & 0x7FFFFFFF


def _are_tokens(dataset) -> bool:
    spec = dataset.element_spec
    return isinstance(spec, dict) and "targets" in spec and spec["targets"].dtype.is_integer
