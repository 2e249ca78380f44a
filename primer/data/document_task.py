"""A seqio task of whole documents, which asks gin what a language model trains on.

Under T5's objectives it is a seqio task like any other. Under ours
(`primer.data.objectives`) its rows have no end token of their own, and a text in columns keeps its
order.

Prepared data are checked before they are read, and never kept in memory as seqio keeps fewer than
10,000 documents: they would be part of every checkpoint of the pipeline's position, and their files
would keep the first epoch's order.
"""

import contextvars
import dataclasses
import functools

import seqio
from t5.data import preprocessors

from primer.common import input_progress
from primer.data.objectives import epochs, row_objectives
from primer.data.objectives.column_documents import ColumnDocuments
from primer.data.prepared import cache_checks

# How often the documents of the data set that is being built are read.
_counted_epochs = contextvars.ContextVar("counted_epochs", default=1)


class DocumentTask(seqio.Task):
    """A task whose last steps are `unsupervised` and `append_eos_after_trim` of T5 and seqio."""

    @property
    def output_features(self):
        """The features; without an end token where the objective puts it behind documents."""
        features = super().output_features
        if not row_objectives.ends_documents():
            return features
        return {key: dataclasses.replace(f, add_eos=False) for key, f in features.items()}

    def get_dataset(self, sequence_length=None, split="train", *, num_epochs=1, **options):
        """As seqio's, see there; one more thing: whoever listens hears of its size.

        Raises:
            UsageError: the objective cannot be had of these documents.
        """
        options["try_in_mem_cache"] = False
        if row_objectives.is_stream():
            return self._columns(sequence_length, split, num_epochs, **options)
        reading = input_progress.current()
        counts = not (num_epochs == 1 or reading is None or self._knows_size(split, **options))
        if not counts:
            return super().get_dataset(sequence_length, split, num_epochs=num_epochs, **options)
        token = _counted_epochs.set(num_epochs)
        try:
            return super().get_dataset(sequence_length, split, num_epochs=1, **options)
        finally:
            _counted_epochs.reset(token)

    def _get_cached_source(self, split, *args, **options):
        cache_checks.check_cached_split(self, split)
        return super()._get_cached_source(split, *args, **options)

    def _knows_size(self, split, use_cached=False, **unused):
        """Whether prepared documents come with the number of their tokens; reports it then."""
        stats = self.get_cached_stats(split) if use_cached else {}
        if "targets_tokens" not in stats:
            return False
        documents = stats["examples"]
        tokens = stats["targets_tokens"] + documents * row_objectives.ends_documents()
        input_progress.current().set_epoch_size(self.name, documents, tokens)
        return True

    def preprocess_postcache(self, dataset, sequence_length, seed=None):
        """The steps of the objective, on documents that are repeated here where it is counted."""
        number = _counted_epochs.get()
        if number != 1 and not _are_tokens(dataset):
            # Tokenized behind the cache, or by steps without one: the size is not known here.
            dataset = dataset.repeat(number)
        elif number != 1:
            report = functools.partial(input_progress.current().set_epoch_size, self.name)
            ends = int(row_objectives.ends_documents())
            dataset = epochs.repeat_and_count(dataset, number, report, ends)
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
        """Rows that no later step may reorder: shuffled are the documents, before they are laid."""

        def documents():
            source = self._get_cached_source(split) if use_cached else self.source
            dataset = source.get_dataset(split=split, shuffle=False)
            return dataset if use_cached else self.preprocess_precache(dataset)

        features = self.output_features
        vocabulary = features["targets"].vocabulary
        stored = ColumnDocuments(
            self.name, documents, vocabulary, shuffle, seed, num_epochs, shard_info
        )
        return preprocessors.unsupervised(
            stored, output_features=features, sequence_length=sequence_length
        )


def _are_tokens(dataset):
    spec = dataset.element_spec
    return isinstance(spec, dict) and "targets" in spec and spec["targets"].dtype.is_integer
