"""What a set of documents comes to: sums that do not depend on who counted which part."""

import dataclasses
import hashlib

import numpy as np

_MODULUS = 1 << 128
_SHORT = 256  # Bytes; below it numpy's calls cost more than the work.


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

    def add_text(self, text: bytes) -> None:
        """Counts a document's text."""
        self.bytes += len(text)
        self.characters += len(text) if text.isascii() else len(_decoded(text))
        self.words += count_words(text)

    def add_ids(self, ids: np.ndarray, special: tuple[int, ...] = ()) -> None:
        """Counts a document's ids; `special` are those of padding and of the end token."""
        own = len(ids) - sum(int(np.count_nonzero(ids == number)) for number in special)
        self.examples += 1
        self.tokens += len(ids)
        self.text_tokens += own
        self.max_tokens = max(self.max_tokens, own)
        self.checksum = (self.checksum + _digest(ids)) % _MODULUS

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


def _decoded(text):
    # As `primer.data.streams` has what a split's border leaves of a character.
    return text.decode("utf-8", "surrogateescape")


def _digest(ids):
    content = np.ascontiguousarray(ids, "<i4").tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=16).digest(), "big")


def count_words(text: bytes) -> int:
    """The words of a text as `str.split` separates them."""
    if not text.isascii():
        return len(_decoded(text).split())
    if len(text) < _SHORT:
        return len(text.decode("ascii").split())
    codes = np.frombuffer(text, np.uint8)
    # Python's ASCII white space: tab to carriage return, the four separators, the blank.
    blank = (codes == 32) | ((codes >= 9) & (codes <= 13)) | ((codes >= 28) & (codes <= 31))
    return int(np.count_nonzero(blank[:-1] & ~blank[1:])) + int(not blank[0])
