"""A split as whole documents, each once, in a fixed order.

What a task gives to training is chunks: documents joined, cut and, the long ones, sampled. An
evaluation that scores every token of a split exactly once cuts its own windows, from this.

What a document is, its source says: `texts(split)` of a source of the project gives lines where
papers count lines. Texts are exact: bytes that are not UTF-8, which a border of enwik8's splits may
leave of a character, are lone surrogates in the str ("surrogateescape"); `as_bytes` undoes that.

Texts are tokenized by the operation that training uses. SentencePiece's own Python package is not
it: between pieces of nearly equal score its releases choose differently, about once in a document
of 20,000 tokens, and then the same checkpoint would have another perplexity on another machine.
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np
import seqio
import tensorflow as tf

from primer.data import damage, preflight, reading
from primer.errors import UsageError

_DOCUMENTS_AT_ONCE = 32


def documents(task_name: str, split: str) -> Iterator[tuple[str, np.ndarray]]:
    """The documents of a split, before any objective.

    Args:
        task_name: a task, or a mixture: its tasks one after the other.
        split: the name of a split.

    Yields:
        (text, ids): what the tokenizer read, and its tokens [length] int32 without end token.

    Raises:
        UsageError: at the first document, when the split cannot be read.
        RunError: a record is damaged.
    """
    preflight.check(task_name, split)
    for task in seqio.get_subtasks(preflight.find(task_name)):
        vocabulary = task.output_features["targets"].vocabulary
        with damage.named(task):
            yield from _documents(functools.partial(_texts, task, split), vocabulary)


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
    return [ids for _, ids in _documents(make_texts, vocabulary)]


def are_lines(task_name: str) -> bool:
    """Whether the texts of a task are lines, whose ends papers count as words; of all of a mixture.

    Raises:
        UsageError: there is no such task.
    """
    tasks = seqio.get_subtasks(preflight.find(task_name))
    return all(getattr(task.source, "unit", None) == "line" for task in tasks)


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


def _documents(make_texts, vocabulary):
    """Yields (text, ids) of a data set of texts, a few at a time."""

    def tokens(text):
        ids = tf.cast(vocabulary.encode_tf(text), tf.int32)
        return text, ids, tf.size(ids)

    def batches():
        dataset = make_texts().map(tokens, tf.data.AUTOTUNE, deterministic=True)
        return dataset.padded_batch(_DOCUMENTS_AT_ONCE, ([], [None], []))

    for batch in reading.elements(batches):
        for text, ids, length in zip(*batch, strict=True):
            yield text.decode("utf-8", "surrogateescape"), ids[:length].copy()
