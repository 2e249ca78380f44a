"""What a set of documents comes to: sums that do not depend on who counted which part."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from primer.data.prepared.word_count import count_words

_MODULUS = 1 << 128


@dataclasses.dataclass
class Counts:
    """Sums over documents.

    Attributes:
        examples: documents, or records where documents were joined and cut.
        tokens: ids, the end tokens that were added among them.
        text_tokens: ids that are neither padding nor the end token, as seqio counts them.
        max_tokens: the most such ids in one document.
        bytes, characters, words: of the texts; words as white space separates them.
        checksum: equal for equal documents in whatever order, of their ids without an end token.
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
        texts: Sequence[bytes],
        ids: np.ndarray,
        ends: np.ndarray,
        special: Iterable[int] = (),
    ) -> None:
        """Counts documents.

        Args:
            texts: the documents.
            ids: the ids of all of them, without end tokens, [tokens].
            ends: where each document's ids begin, and the last one's end, [documents + 1].
            special: the ids of padding and of the end token.
        """
        joined = b"\n".join(texts)
        between = max(0, len(texts) - 1)
        self.examples += len(ends) - 1
        self.tokens += len(ids)
        self.bytes += len(joined) - between
        self.characters += count_characters(joined) - between
        self.words += count_words(joined)
        own = _own_tokens(ids, ends, special)
        self.text_tokens += int(own.sum())
        self.max_tokens = max(self.max_tokens, int(own.max(initial=0)))
        self.checksum = (self.checksum + _digests(ids, ends)) % _MODULUS

    def __add__(self, other: "Counts") -> "Counts":
        sums = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in dataclasses.fields(self)
        }
        sums["max_tokens"] = max(self.max_tokens, other.max_tokens)
        sums["checksum"] %= _MODULUS
        return Counts(**sums)

    def as_dict(self) -> dict:
        """Plain data; the checksum in hexadecimal."""
        return {**dataclasses.asdict(self), "checksum": f"{self.checksum:032x}"}

    @classmethod
    def from_dict(cls, data: dict) -> "Counts":
        """What `as_dict` gave; other keys are left aside."""
        values = {field.name: data[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**values, "checksum": int(values["checksum"], 16)})


def count_characters(text: bytes) -> int:
    """The code points of a text; a byte that is no UTF-8 is one, as in `whole_documents`."""
    return len(text) if text.isascii() else len(text.decode("utf-8", "surrogateescape"))


def _own_tokens(ids, ends, special):
    """Of each document, the ids that are not special."""
    before = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(~np.isin(ids, list(special)), out=before[1:])
    return np.diff(before[ends])


def _digests(ids, ends):
    """The sum of a digest of each document's ids."""
    content = np.ascontiguousarray(ids, "<i4").tobytes()
    places = (4 * np.asarray(ends)).tolist()
    return sum(
        int.from_bytes(hashlib.blake2b(content[start:end], digest_size=16).digest(), "big")
        for start, end in zip(places, places[1:], strict=False)
    )
