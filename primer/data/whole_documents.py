"""Reads a split as whole documents, each once, in a fixed order.

Training reads chunks: documents that are joined, cut and, if long, sampled. An evaluation that
scores every token of a split exactly once cuts its windows from these documents instead. Data sets
of token ids (GPT-Neo's records) keep no text: their documents have tokens only.

A task's source defines its documents: `texts(split)` of Primer's sources yields lines where papers
count lines. Texts are exact: bytes that are not UTF-8, which the split borders of enwik8 may leave
of a character, are lone surrogates in the str ("surrogateescape"); `as_bytes` restores them.

Texts are tokenized by the TensorFlow operation that training uses. SentencePiece's Python package
chooses differently between pieces of nearly equal score, depending on its release, about once in a
document of 20,000 tokens: a checkpoint's perplexity would differ between machines.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import seqio
import tensorflow as tf

from primer.common import tf_data
from primer.data import preflight
from primer.data.sources import corrupt_records
from primer.data.vocabularies import batch_tokenize
from primer.data.vocabularies.round_trip import Changes, RoundTrip
from primer.errors import UsageError

# The time to read lines depends on their number. A book is as long as this many lines.
_DOCUMENTS_AT_ONCE = 32
_LINES_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class Batch:
    """Several consecutive documents.

    Attributes:
        ids: their tokens, joined, [tokens] int32; without end tokens where there are texts.
        lengths: tokens of each document, [documents] int64.
        texts: the tokenizer's input, bytes each; None for records that keep no text.
        are_lines: whether the texts are lines, whose ends papers count as words.
        changes: what the vocabulary does not give back of the texts; None where it is not known.
    """

    ids: np.ndarray
    lengths: np.ndarray
    texts: list[bytes] | None
    are_lines: bool
    changes: Changes | None = None


def documents(task_name: str, split: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the documents of a split, before any objective.

    Args:
        task_name: a task, or a mixture, whose tasks are read one after the other.
        split: the name of a split.

    Yields:
        (text, ids): the tokenizer's input, and its tokens [length] int32 without end token.

    Raises:
        UsageError: at the first document, if the split cannot be read or keeps no text.
        RunError: a record is damaged.
    """
    for task in _checked_tasks(task_name, split):
        text_steps(task)
        for batch in _task_batches(task, split):
            yield from _singly(batch)


def batches(task_name: str, split: str) -> Iterator[Batch]:
    """Yields the documents of a split in batches, also those of records that keep no text.

    Args:
        task_name, split: as for `documents`.

    Yields:
        `Batch`es. The ids of records that keep no text include the records' own end tokens.

    Raises:
        UsageError: at the first batch, if the split cannot be read.
        RunError: a record is damaged.
    """
    for task in _checked_tasks(task_name, split):
        yield from _task_batches(task, split)


def _checked_tasks(task_name, split):
    preflight.check_split(task_name, split)
    tasks = seqio.get_subtasks(preflight.find_task(task_name))
    for task in tasks:
        if split in getattr(task.source, "endless_splits", ()):
            raise UsageError(
                f"task {task.name}: the split {split!r} has no end, so that it cannot be read as a "
                f"whole; expected {', '.join(s for s in task.splits if s != split)}"
            )
    return tasks


def _singly(batch):
    """Yields (text, ids) of each document; the ids are copies."""
    starts = np.cumsum(batch.lengths)[:-1]
    for text, ids in zip(batch.texts, np.split(batch.ids, starts), strict=True):
        yield text.decode("utf-8", "surrogateescape"), ids.copy()


def encode(vocabulary: seqio.Vocabulary, texts: Iterable[str]) -> list[np.ndarray]:
    """Tokenizes texts as a task's pipeline does: [length] int32 each, without end token.

    Args:
        vocabulary: the vocabulary of a task's feature.
        texts: any texts.
    """
    encoded = [text.encode() for text in texts]
    if not encoded:
        return []
    make_texts = functools.partial(tf.data.Dataset.from_tensor_slices, encoded)
    batches_of_texts = _tokenized(make_texts, vocabulary)
    return [ids for batch in batches_of_texts for _, ids in _singly(batch)]


def are_lines(task_name: str) -> bool:
    """Returns whether the texts of a task, or of all tasks of a mixture, are lines.

    Papers count the end of a line as a word.

    Raises:
        UsageError: there is no such task.
    """
    return all(map(_has_lines, seqio.get_subtasks(preflight.find_task(task_name))))


def keeps_text(task_name: str) -> bool:
    """Returns whether a task, or each task of a mixture, keeps the texts of its tokens.

    Raises:
        UsageError: there is no such task.
    """
    return not any(map(_has_tokens_only, seqio.get_subtasks(preflight.find_task(task_name))))


def input_files(task_name: str) -> list[str]:
    """Returns the user's own files that a task, or the tasks of a mixture, read.

    Raises:
        UsageError: there is no such task, or no such file.
    """
    tasks = seqio.get_subtasks(preflight.find_task(task_name))
    readers = [getattr(task.source, "shard_reader", None) for task in tasks]
    listing = [getattr(reader, "input_files", list) for reader in readers]
    return [path for input_files_of in listing for path in input_files_of()]


def check_task(task_name: str) -> None:
    """Raises UsageError for a task or mixture that `batches` cannot read."""
    for task in seqio.get_subtasks(preflight.find_task(task_name)):
        if not _has_tokens_only(task):
            text_steps(task)


def _has_lines(task):
    return getattr(task.source, "unit", None) == "line"


def _has_tokens_only(task):
    return not getattr(task.source, "keeps_text", True)


def as_bytes(text: str) -> bytes:
    """Returns the original bytes of a text of `documents`, also where they are not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def text_steps(task: seqio.Task) -> list[Callable]:
    """Returns the preprocessors of a task before `seqio.preprocessors.tokenize`, which edit texts.

    Raises:
        UsageError: the task has no such preprocessor.
    """
    steps = list(task.preprocessors)
    if seqio.preprocessors.tokenize not in steps:
        raise UsageError(
            f"task {task.name!r} has no preprocessor seqio.preprocessors.tokenize, whose input is "
            "the text that evaluation of whole splits scores; add it to the task"
        )
    return steps[: steps.index(seqio.preprocessors.tokenize)]


def _texts(task, split):
    """Returns a data set of the tokenizer's inputs, in the order of the source."""
    if hasattr(task.source, "texts"):
        dataset = task.source.texts(split)
    else:  # A source of another package.
        dataset = task.source.get_dataset(split=split, shuffle=False)
    for step in text_steps(task):
        dataset = step(dataset)
    return dataset.map(lambda example: example["targets"])


def _task_batches(task, split):
    with corrupt_records.name_corrupt_file(task):
        yield from _batches(task, split)


def _batches(task, split):
    if _has_tokens_only(task):
        yield from _records(task, split)
        return
    make_texts = functools.partial(_texts, task, split)
    vocabulary = task.output_features["targets"].vocabulary
    yield from _tokenized(make_texts, vocabulary, _has_lines(task))


def _tokenized(make_texts, vocabulary, are_lines=False):
    """Yields the `Batch`es of a data set of texts."""
    number = _LINES_AT_ONCE if are_lines else _DOCUMENTS_AT_ONCE

    def tokens(texts):
        ids = batch_tokenize.tokenize_texts(vocabulary, texts)
        return texts, ids.flat_values, ids.row_lengths()

    def make_batches():
        return make_texts().batch(number).map(tokens, tf.data.AUTOTUNE, deterministic=True)

    round_trip = RoundTrip(vocabulary)
    for texts, ids, lengths in tf_data.elements(make_batches):
        contents = texts.tolist()
        changes = round_trip.add(contents, ids, np.cumsum([0, *lengths]))
        yield Batch(ids, lengths, contents, are_lines, changes)


def _records(task, split):
    """Yields the `Batch`es of a source that keeps no text."""

    def make_batches():
        dataset = task.source.get_dataset(split=split, shuffle=False)
        ids = dataset.map(lambda record: tf.cast(record["targets"], tf.int32))
        return ids.ragged_batch(_LINES_AT_ONCE).map(lambda ids: (ids.values, ids.row_lengths()))

    for ids, lengths in tf_data.elements(make_batches):
        yield Batch(ids, lengths, None, False)
