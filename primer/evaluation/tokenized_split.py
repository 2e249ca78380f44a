"""A split of a task as one stream of tokens, with byte, character and word counts per document.

An end token follows each document. Bytes, characters and words are counted on the text before
tokenization. Records of token ids (GPT-Neo's) keep no text and have no such counts.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np

from primer.common import console
from primer.data import preflight, whole_documents
from primer.data.vocabularies.round_trip import Changes, RoundTrip
from primer.errors import UsageError


@dataclasses.dataclass(frozen=True)
class TokenizedSplit:
    """Tokens of documents, each document followed by its end token.

    Attributes:
        ids: the tokens, [tokens] int32.
        lengths: tokens of each document, its end token included, [documents] int64.
        ends: the indices of the end tokens in `ids`, [end tokens] int64.
        document_bytes: UTF-8 bytes of each document before tokenization, plus one for its end,
            [documents] int64; None where the data set keeps no text.
        document_characters: code points of each document, plus one for its end; a byte that
            belongs to no UTF-8 character counts as one. None as above.
        document_words: words of each document, separated by white space. A line (LM1B, WikiText,
            PTB), blank or not, has one more for its end, as in papers. None as above.
        changes: what the vocabulary does not give back of the documents; None where that is not
            known.
        counted: what is scored, for messages.
    """

    counted: ClassVar[str] = "tokens"

    ids: np.ndarray
    lengths: np.ndarray
    ends: np.ndarray
    document_bytes: np.ndarray | None = None
    document_characters: np.ndarray | None = None
    document_words: np.ndarray | None = None
    changes: Changes | None = None

    @property
    def bytes(self) -> int | None:
        """Bytes of all documents; None where the data set keeps no text."""
        return _sum(self.document_bytes)

    @property
    def characters(self) -> int | None:
        """Characters of all documents; None where the data set keeps no text."""
        return _sum(self.document_characters)

    @property
    def words(self) -> int | None:
        """Words of all documents; None where the data set keeps no text."""
        return _sum(self.document_words)

    @property
    def counted_lengths(self) -> np.ndarray:
        """The tokens of each document whose loss counts, [documents] int64: here all of them."""
        return self.lengths

    def scored_alone(self, values: np.ndarray) -> np.ndarray:
        """Returns values of each token, [tokens], zero or False where it is not scored: here all.

        Args:
            values: numbers or marks, [tokens].
        """
        return values

    @property
    def starts(self) -> np.ndarray:
        """The index in `ids` of each document's first token, [documents] int64."""
        return np.cumsum(self.lengths) - self.lengths

    @functools.cached_property
    def checksum(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of `ids` as little-endian int32."""
        return hashlib.sha256(np.ascontiguousarray(self.ids, "<i4").data).hexdigest()[:16]

    @functools.cached_property
    def counts_checksum(self) -> str:
        """The same of the tokens, bytes, characters and words of each document.

        Texts that differ may have the same ids: a vocabulary of words has one id for all others.
        """
        digest = hashlib.sha256()
        counts = self.document_bytes, self.document_characters, self.document_words
        for values in (self.lengths, *counts):
            digest.update(b"-" if values is None else np.ascontiguousarray(values, "<i8").data)
        return digest.hexdigest()[:16]


def read_split(task_name: str, split: str) -> TokenizedSplit:
    """Reads and tokenizes the whole split of a task; says what its vocabulary does not give back.

    Raises:
        UsageError: the task or split does not exist, cannot be read, or is empty.
    """
    preflight.check_split(task_name, split)
    end = preflight.find_task(task_name).output_features["targets"].vocabulary.eos_id
    if whole_documents.keeps_text(task_name):
        text = _from_texts(whole_documents.batches(task_name, split), end)
    else:
        text = _from_records(whole_documents.batches(task_name, split), end)
    if not len(text.ids):
        raise UsageError(f"task {task_name}: the split {split!r} has no document; nothing to score")
    say_changes(text.changes)
    return text


def say_changes(changes: Changes | None) -> None:
    """Prints what a vocabulary does not give back of the scored texts, if anything."""
    described = changes.describe() if changes else None
    if described:
        console.say(
            f"{described} The loss is that of the changed text; bits per byte, bits per character "
            "and perplexity per word divide it by the counts of the original."
        )


def from_documents(
    documents: Iterable[tuple[str, Sequence[int] | np.ndarray]],
    end_token: int,
    are_lines: bool = False,
    round_trip: RoundTrip | None = None,
) -> TokenizedSplit:
    """Joins documents that were tokenized already.

    Args:
        documents: pairs of (text, token ids without end token).
        end_token: the id that follows each document.
        are_lines: whether the end of a document counts as a word.
        round_trip: of their vocabulary, for `TokenizedSplit.changes`; None leaves it unknown.
    """
    documents = list(documents)
    texts = [whole_documents.as_bytes(document) for document, _ in documents]
    ids = _concatenated([np.asarray(ids, np.int32) for _, ids in documents])
    lengths = np.array([len(ids) for _, ids in documents], np.int64)
    ends = np.cumsum([0, *lengths])
    changes = round_trip.add(texts, ids, ends) if round_trip else None
    batch = whole_documents.Batch(ids, lengths, texts, are_lines, changes)
    return _from_texts([batch], end_token)


def from_tokens(ids: np.ndarray, lengths: np.ndarray | list[int], end_token: int) -> TokenizedSplit:
    """Makes a `TokenizedSplit` of documents whose text is not known.

    Args:
        ids: the tokens, [tokens], end tokens included where there are any.
        lengths: tokens of each document, [documents], each positive.
        end_token: the id of the end tokens.
    """
    return TokenizedSplit(ids, np.asarray(lengths, np.int64), np.flatnonzero(ids == end_token))


def _from_texts(batches, end_token):
    pieces, lengths, counts, changes = [], [], [], []
    for batch in batches:
        changes.append(batch.changes)
        ends = np.cumsum(batch.lengths)
        pieces.append(np.insert(batch.ids, ends, end_token))
        lengths.append(batch.lengths + 1)
        # An array, not a list of tuples: a split may have millions of lines.
        rows = [_counts(text, batch.are_lines) for text in batch.texts]
        counts.append(np.array(rows, np.int64).reshape(-1, 3))
    lengths = _concatenated(lengths, np.int64)
    columns = (np.concatenate(counts) if counts else np.zeros([0, 3], np.int64)).T
    ends = np.cumsum(lengths) - 1
    changed = None if None in changes else sum(changes, Changes())
    return TokenizedSplit(_concatenated(pieces), lengths, ends, *columns.copy(), changed)


def _counts(text, are_lines):
    """Bytes, characters and words of a document, its end included."""
    decoded = text.decode("utf-8", "surrogateescape")
    return len(text) + 1, len(decoded) + 1, len(decoded.split()) + are_lines


def _from_records(batches, end_token):
    """Cuts the joined records after each end token; the last document may have none."""
    ids = _concatenated([batch.ids for batch in batches])
    borders = np.flatnonzero(ids == end_token) + 1
    lengths = np.diff(borders, prepend=0, append=len(ids))
    return from_tokens(ids, lengths[lengths > 0], end_token)


def _concatenated(arrays, dtype=np.int32):
    return np.concatenate(arrays) if arrays else np.zeros([0], dtype)


def _sum(counts):
    return None if counts is None else int(counts.sum())
