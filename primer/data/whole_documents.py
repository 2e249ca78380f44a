"""A split as whole documents, each once, in a fixed order.

A set of records of token ids (GPT-Neo's) keeps no text: its documents are tokens only.

What a task gives to training is chunks: documents joined, cut and, the long ones, sampled. An
evaluation that scores every token of a split exactly once cuts its own windows, from this.

What a document is, its source says: `texts(split)` of a source of the project gives lines where
papers count lines. Texts are exact: bytes that are not UTF-8, which a border of enwik8's splits may
leave of a character, are lone surrogates in the str ("surrogateescape"); `as_bytes` undoes that.

Texts are tokenized by the operation that training uses. SentencePiece's own Python package is not
it: between pieces of nearly equal score its releases choose differently, about once in a document
of 20,000 tokens, and then the same checkpoint would have another perplexity on another machine.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import numpy as np
import seqio
import tensorflow as tf

from primer.common import tf_data
from primer.data import preflight
from primer.data.sources import corrupt_records
from primer.data.vocabularies import batch_tokenize
from primer.errors import UsageError

# Lines are short: their number is what costs. A book is as long as all of these lines.
_DOCUMENTS_AT_ONCE = 32
_LINES_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some documents, one after the other.

    Attributes:
        ids: their tokens, joined, [tokens] int32; without end tokens where there are texts.
        lengths: tokens of each document, [documents] int64.
        texts: what the tokenizer read, bytes each; None of records that keep no text.
        are_lines: whether the texts are lines, whose ends papers count as words.
    """

    ids: np.ndarray
    lengths: np.ndarray
    texts: list[bytes] | None
    are_lines: bool


def documents(task_name: str, split: str) -> Iterator[tuple[str, np.ndarray]]:
    """The documents of a split, before any objective.

    Args:
        task_name: a task, or a mixture: its tasks one after the other.
        split: the name of a split.

    Yields:
        (text, ids): what the tokenizer read, and its tokens [length] int32 without end token.

    Raises:
        UsageError: at the first document, when the split cannot be read or keeps no text.
        RunError: a record is damaged.
    """
    for task in _tasks(task_name, split):
        text_steps(task)
        for batch in _task_batches(task, split):
            yield from _singly(batch)


def batches(task_name: str, split: str) -> Iterator[Batch]:
    """The same, many documents at a time, and of records that keep no text their tokens.

    Args:
        task_name, split: as for `documents`.

    Yields:
        `Batch`es. Records that keep no text have the end tokens that belong there in their ids.

    Raises:
        UsageError: at the first batch, when the split cannot be read.
        RunError: a record is damaged.
    """
    for task in _tasks(task_name, split):
        yield from _task_batches(task, split)


def _tasks(task_name, split):
    preflight.check_split(task_name, split)
    return seqio.get_subtasks(preflight.find_task(task_name))


def _singly(batch):
    """Yields (text, ids) of each document; the ids are arrays of their own."""
    places = np.cumsum(batch.lengths)[:-1]
    for text, ids in zip(batch.texts, np.split(batch.ids, places), strict=True):
        yield text.decode("utf-8", "surrogateescape"), ids.copy()


def encode(vocabulary: seqio.Vocabulary, texts: Iterable[str]) -> list[np.ndarray]:
    """The tokens of texts as a task's pipeline would give them: each [length] int32, no end token.

    Args:
        vocabulary: of a feature of a task.
        texts: any texts.
    """
    texts = [text.encode() for text in texts]
    if not texts:
        return []
    make_texts = functools.partial(tf.data.Dataset.from_tensor_slices, texts)
    found = _tokenized(make_texts, vocabulary)
    return [ids for batch in found for _, ids in _singly(batch)]


def are_lines(task_name: str) -> bool:
    """Whether the texts of a task are lines, whose ends papers count as words; of all of a mixture.

    Raises:
        UsageError: there is no such task.
    """
    return all(map(_has_lines, seqio.get_subtasks(preflight.find_task(task_name))))


def keeps_text(task_name: str) -> bool:
    """Whether a task, or each task of a mixture, has the texts that its tokens were made of.

    Raises:
        UsageError: there is no such task.
    """
    return not any(map(_has_tokens_only, seqio.get_subtasks(preflight.find_task(task_name))))


def check_task(task_name: str) -> None:
    """Raises UsageError for a task whose splits `batches` cannot give."""
    for task in seqio.get_subtasks(preflight.find_task(task_name)):
        if not _has_tokens_only(task):
            text_steps(task)


def _has_lines(task):
    return getattr(task.source, "unit", None) == "line"


def _has_tokens_only(task):
    return not getattr(task.source, "keeps_text", True)


def as_bytes(text: str) -> bytes:
    """The bytes of a text that `documents` gave: its UTF-8, or what stood there instead of it."""
    return text.encode("utf-8", "surrogateescape")


def text_steps(task) -> list:
    """The preprocessors of a task that work on texts: those before `seqio.preprocessors.tokenize`.

    Raises:
        UsageError: it has no such step.
    """
    steps = list(task.preprocessors)
    if seqio.preprocessors.tokenize not in steps:
        raise UsageError(
            f"task {task.name!r}: whole splits are evaluated from the texts that "
            "seqio.preprocessors.tokenize gets, and it is not among the task's preprocessors"
        )
    return steps[: steps.index(seqio.preprocessors.tokenize)]


def _texts(task, split):
    """The texts as the tokenizer would get them, in the order of the source."""
    if hasattr(task.source, "texts"):
        dataset = task.source.texts(split)
    else:  # Of another package.
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

    for texts, ids, lengths in tf_data.elements(make_batches):
        yield Batch(ids, lengths, texts.tolist(), are_lines)


def _records(task, split):
    """Yields the `Batch`es of a source of tokens."""

    def make_batches():
        dataset = task.source.get_dataset(split=split, shuffle=False)
        ids = dataset.map(lambda record: tf.cast(record["targets"], tf.int32))
        some = ids.ragged_batch(_LINES_AT_ONCE)
        return some.map(lambda ids: (ids.values, ids.row_lengths()))

    for ids, lengths in tf_data.elements(make_batches):
        yield Batch(ids, lengths, None, False)
