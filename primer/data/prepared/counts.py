"""Sums over a set of documents; they do not depend on how the set is divided among counters."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from primer.data.prepared.word_count import count_words

_MODULUS = 1 << 128
_Texts = Sequence[bytes]  # `bytes` is also a name of the class below.


@dataclasses.dataclass
class Counts:
    """Sums over documents.

    Attributes:
        examples: documents, or records where documents were joined and cut.
        tokens: ids, including added end tokens.
        text_tokens: ids that are neither padding nor the end token, as seqio counts them.
        max_tokens: the largest number of text tokens in one document.
        bytes, characters, words: of the texts; white space separates words.
        checksum: of the documents' ids without end tokens; independent of the documents' order.
    """

    examples: int = 0
    tokens: int = 0
    text_tokens: int = 0
    max_tokens: int = 0
    bytes: int = 0
    characters: int = 0
    words: int = 0
    checksum: int = 0

    def add(
        self,
        texts: _Texts,
        ids: np.ndarray,
        ends: np.ndarray,
        special: Iterable[int] = (),
    ) -> None:
        """Adds documents to the sums.

        Args:
            texts: the documents.
            ids: the ids of all documents, without end tokens, [tokens].
            ends: where each document's ids begin, and the last one's end, [documents + 1].
            special: the ids of padding and of the end token.
        """
        joined = b"\n".join(texts)
        separators = max(0, len(texts) - 1)
        self.examples += len(ends) - 1
        self.tokens += len(ids)
        self.bytes += len(joined) - separators
        self.characters += count_characters(joined) - separators
        self.words += count_words(joined)
        lengths = _text_tokens(ids, ends, special)
        self.text_tokens += int(lengths.sum())
        self.max_tokens = max(self.max_tokens, int(lengths.max(initial=0)))
        self.checksum = (self.checksum + _digests(ids, ends)) % _MODULUS

    def __add__(self, other: "Counts") -> "Counts":
        """Returns the sums over both sets of documents."""
        sums = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in dataclasses.fields(self)
        }
        sums["max_tokens"] = max(self.max_tokens, other.max_tokens)
        sums["checksum"] %= _MODULUS
        return Counts(**sums)

    def as_dict(self) -> dict[str, Any]:
        """Returns the sums as plain data; the checksum in hexadecimal."""
        return {**dataclasses.asdict(self), "checksum": f"{self.checksum:032x}"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Counts":
        """Returns the sums of an `as_dict`; other keys are ignored."""
        values = {field.name: data[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**values, "checksum": int(values["checksum"], 16)})


def count_characters(text: bytes) -> int:
    """Returns the code points of a text; a byte that is not UTF-8 counts as one."""
    return len(text) if text.isascii() else len(text.decode("utf-8", "surrogateescape"))


def _text_tokens(ids, ends, special):
    """Returns the number of ids of each document that are not special."""
    before = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(~np.isin(ids, list(special)), out=before[1:])
    return np.diff(before[ends])


def _digests(ids, ends):
    """Returns the sum of the digests of the documents' ids."""
    content = np.ascontiguousarray(ids, "<i4").tobytes()
    bounds = (4 * np.asarray(ends)).tolist()
    return sum(
        int.from_bytes(hashlib.blake2b(content[start:end], digest_size=16).digest(), "big")
        for start, end in zip(bounds, bounds[1:], strict=False)
    )
