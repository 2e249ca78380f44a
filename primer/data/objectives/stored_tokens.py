"""The tokens of a split, stored so that any part of them can be read: what an order permutes.

A training run in a random order reads documents from anywhere. `Tokens` holds what was tokenized at
the start of the run, in a temporary file; prepared data give the same two members.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import seqio
import tensorflow as tf

from primer.common import input_progress, tf_data
from primer.common.live_line import LiveLine
from primer.data.vocabularies import batch_tokenize
from primer.errors import RunError

# A session's call costs more than tokenizing a line; a batch of whole files must fit into memory.
_TEXTS_AT_ONCE = 8
_DOCUMENTS_AT_ONCE = 256


class StoredTokens(Protocol):
    """Documents, each with its end token, one after the other in a stream of N tokens.

    Attributes:
        starts: where each document begins, and N at the end [documents + 1].
    """

    starts: np.ndarray

    def read(self, begin: int, end: int) -> np.ndarray:
        """Returns the ids between two positions of the stream, [end - begin]."""


class Tokens:
    """The tokens of documents in an unnamed temporary file, which vanishes with the process.

    Args:
        blocks: (ids of several documents, one after the other, and the lengths of these documents).
        vocab_size: the size of the vocabulary, which decides the bytes of a token.

    Raises:
        RunError: the temporary file cannot be written.

    Attributes:
        starts: as in `StoredTokens`.
    """

    def __init__(self, blocks: Iterable[tuple[np.ndarray, np.ndarray]], vocab_size: int) -> None:
        dtype = np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.int32)
        lengths = [np.zeros(1, np.int64)]
        self._file = tempfile.TemporaryFile()
        for ids, sizes in blocks:
            self._write(ids.astype(dtype).tobytes(), dtype)
            lengths.append(sizes.astype(np.int64))
        self._write(b"", dtype)
        self.starts = np.cumsum(np.concatenate(lengths))
        # An empty file cannot be memory-mapped.
        self._ids = np.memmap(self._file, dtype, "r") if self.starts[-1] else np.zeros(0, dtype)

    def _write(self, content, dtype):
        try:
            self._file.write(content)
            if not content:
                self._file.flush()
        except OSError as error:
            raise RunError(
                f"the tokens of the text cannot be written to {tempfile.gettempdir()} ({error}); "
                f"set TMPDIR to a folder with enough space: {dtype.itemsize} bytes a token"
            ) from error

    def read(self, begin: int, end: int) -> np.ndarray:
        """Returns the ids between two positions, as `StoredTokens.read`."""
        return self._ids[begin:end]


def text_batches(texts: tf.data.Dataset, vocabulary: seqio.Vocabulary) -> tf.data.Dataset:
    """Tokenizes texts, in order.

    Args:
        texts: {"targets": scalar string}.
        vocabulary: the vocabulary of the ids.

    Returns:
        A data set of (ids of several documents, the documents' lengths, their bytes).
    """

    def tokenize(batch):
        ids = batch_tokenize.tokenize_texts(vocabulary, batch)
        size = tf.reduce_sum(tf.cast(tf.strings.length(batch), tf.int64))
        return ids.flat_values, ids.row_lengths(), size

    batches = texts.map(lambda example: example["targets"]).batch(_TEXTS_AT_ONCE)
    return batches.map(tokenize, tf.data.AUTOTUNE, deterministic=True)


def id_batches(documents: tf.data.Dataset) -> tf.data.Dataset:
    """Returns documents {"targets": ids [length]} as `text_batches` does, with 0 for the bytes."""
    ids = documents.map(lambda example: example["targets"]).ragged_batch(_DOCUMENTS_AT_ONCE)
    return ids.map(lambda batch: (batch.flat_values, batch.row_lengths(), np.int64(0)))


def collect_tokens(
    task: str, make_batches: Callable[[], tf.data.Dataset], vocabulary: seqio.Vocabulary
) -> Tokens:
    """Reads all documents in order and stores their tokens; reports to `input_progress.current()`.

    Args:
        task: the name of the task, for messages.
        make_batches: builds a finite data set of `text_batches` or `id_batches`.
        vocabulary: the vocabulary of the ids; its end token is added to each document.

    Raises:
        RunError: the temporary file cannot be written.
    """
    progress = input_progress.current()
    if progress is None:
        return Tokens(_with_ends(tf_data.elements(make_batches), vocabulary), vocabulary.vocab_size)
    progress.say(f"{task}: tokenizing all documents once, into a temporary file.")
    with LiveLine() as line:
        counted = _Counted(task, line, tf_data.elements(make_batches))
        tokens = Tokens(_with_ends(counted, vocabulary), vocabulary.vocab_size)
    progress.say(f"{task}: {counted}, tokenized in {line.seconds:,.0f} s.")
    return tokens


def _with_ends(batches, vocabulary):
    for ids, lengths, _ in batches:
        yield np.insert(ids, np.cumsum(lengths), vocabulary.eos_id), lengths + 1


class _Counted:
    """Batches, counted on a live line while they are read; its text is the count."""

    def __init__(self, task, line, batches):
        self._task, self._line, self._batches = task, line, batches
        self._documents = self._tokens = self._bytes = 0

    def __iter__(self) -> Iterator:
        for batch in self._batches:
            ids, lengths, size = batch
            self._documents += len(lengths)
            self._tokens += len(ids) + len(lengths)
            self._bytes += int(size)
            if self._line.is_due():
                self._line.show(f"{self._task}: {self} read")
            yield batch

    def __str__(self):
        size = f", {self._bytes:,} bytes" if self._bytes else ""
        return f"{self._documents:,} documents, {self._tokens:,} tokens{size}"
