"""A split of a task as one stream of tokens, with the counts of the text that they stand for.

Each document is followed by its end token. Bytes, characters and words are those of the text before
tokenization; records of token ids (GPT-Neo's) keep none, and have none of the three.
"""

import dataclasses
import functools
import hashlib

import numpy as np

from primer.data import preflight, whole_documents
from primer.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Text:
    """Documents, each followed by its end token.

    Attributes:
        ids: the tokens, [tokens] int32.
        lengths: tokens of each document, its end token included, [documents] int64.
        ends: where in `ids` the end tokens are, [end tokens] int64.
        document_bytes: UTF-8 bytes of each document before tokenization, and one for its end,
            [documents] int64; None where the data set keeps no text.
        document_characters: code points of each document, and one for its end; likewise. A byte
            that belongs to no UTF-8 character counts as one.
        document_words: words of each document, separated by white space; of lines (LM1B, WikiText,
            PTB) also one for the line's end, blank lines included, as their papers count; likewise.
    """

    ids: np.ndarray
    lengths: np.ndarray
    ends: np.ndarray
    document_bytes: np.ndarray | None = None
    document_characters: np.ndarray | None = None
    document_words: np.ndarray | None = None

    @property
    def bytes(self) -> int | None:
        """Of all documents; None where the data set keeps no text."""
        return _sum(self.document_bytes)

    @property
    def characters(self) -> int | None:
        """Of all documents; None where the data set keeps no text."""
        return _sum(self.document_characters)

    @property
    def words(self) -> int | None:
        """Of all documents; None where the data set keeps no text."""
        return _sum(self.document_words)

    @property
    def starts(self) -> np.ndarray:
        """Where in `ids` each document begins, [documents] int64."""
        return np.cumsum(self.lengths) - self.lengths

    @functools.cached_property
    def checksum(self) -> str:
        """Equal for two runs that score the same tokens in the same order."""
        return hashlib.sha256(np.ascontiguousarray(self.ids, "<i4")).hexdigest()[:16]


def read(task_name, split) -> Text:
    """The whole split of a task.

    Raises:
        UsageError: there is no such task or split, it cannot be read, or it is empty.
    """
    preflight.check_split(task_name, split)
    end = preflight.find_task(task_name).output_features["targets"].vocabulary.eos_id
    if whole_documents.keeps_text(task_name):
        text = _of_texts(whole_documents.batches(task_name, split), end)
    else:
        text = _of_records(whole_documents.batches(task_name, split), end)
    if not len(text.ids):
        raise UsageError(f"task {task_name}: the split {split!r} has no document; nothing to score")
    return text


def of_documents(documents, end_token, are_lines=False) -> Text:
    """Joins pairs of (text, ids without end token); an end of a line counts as a word."""
    documents = list(documents)
    batch = whole_documents.Batch(
        _joined([np.asarray(ids, np.int32) for _, ids in documents]),
        np.array([len(ids) for _, ids in documents], np.int64),
        [whole_documents.as_bytes(document) for document, _ in documents],
        are_lines,
    )
    return _of_texts([batch], end_token)


def of_tokens(ids, lengths, end_token) -> Text:
    """Documents of which nobody has the text.

    Args:
        ids: the tokens, [tokens], end tokens included where there are any.
        lengths: tokens of each document, [documents], each positive.
        end_token: the id of the end tokens.
    """
    return Text(ids, np.asarray(lengths, np.int64), np.flatnonzero(ids == end_token))


def _of_texts(batches, end_token):
    pieces, lengths, counts = [], [], []
    for batch in batches:
        ends = np.cumsum(batch.lengths)
        pieces.append(np.insert(batch.ids, ends, end_token))
        lengths.append(batch.lengths + 1)
        # Three numbers a document, as an array: a split may have millions of lines.
        rows = [_counts(text, batch.are_lines) for text in batch.texts]
        counts.append(np.array(rows, np.int64).reshape(-1, 3))
    lengths = _joined(lengths, np.int64)
    columns = (np.concatenate(counts) if counts else np.zeros([0, 3], np.int64)).T
    return Text(_joined(pieces), lengths, np.cumsum(lengths) - 1, *columns.copy())


def _counts(text, are_lines):
    """Bytes, characters and words of a document, its end included."""
    decoded = text.decode("utf-8", "surrogateescape")
    return len(text) + 1, len(decoded) + 1, len(decoded.split()) + are_lines


def _of_records(batches, end_token):
    """Documents go on across records, up to their end tokens; the last one may have none."""
    ids = _joined([batch.ids for batch in batches])
    borders = np.flatnonzero(ids == end_token) + 1
    lengths = np.diff(borders, prepend=0, append=len(ids))
    return of_tokens(ids, lengths[lengths > 0], end_token)


def _joined(arrays, dtype=np.int32):
    return np.concatenate(arrays) if arrays else np.zeros([0], dtype)


def _sum(counts):
    return None if counts is None else int(counts.sum())
