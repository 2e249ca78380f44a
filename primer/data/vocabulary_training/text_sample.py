"""A sample of any amount of text, the same one each time, in memory that does not grow.

Of all pieces of text those with the smallest fingerprints are kept, as many as there is room for.
So the sample does not depend on the order of the texts, needs no second reading, and keeps a piece
or not wherever it stands.
"""

import hashlib
import heapq
from collections.abc import Iterator

PIECE = 1 << 20  # Bytes.


def pieces(text: bytes, limit: int = PIECE) -> Iterator[bytes]:
    """Cuts a long text, if it can before a line end, else at a blank, else between characters.

    Args:
        text: UTF-8.
        limit: the most bytes of a piece.
    """
    start = 0
    while len(text) - start > limit:
        end = start + limit
        cut = text.rfind(b"\n", start + 1, end + 1)
        blank = -1 if cut > 0 else text.rfind(b" ", start + 1, end + 1)
        if cut < 0:
            cut = blank if blank > 0 else _between_characters(text, end)
        yield text[start:cut]
        start = cut + (cut == blank)  # Each piece begins a word, as after a blank.
    yield text[start:]


def _between_characters(text, end):
    while text[end] & 0xC0 == 0x80:
        end -= 1
    return end


class Sample:
    """Pieces of texts, up to a number of bytes in all.

    Args:
        limit: bytes to keep; at least one piece's.

    Attributes:
        read: bytes of all texts.
        kept: bytes of the sample.
        documents: how many texts there were.
    """

    def __init__(self, limit: int):
        self._limit = max(limit, PIECE)
        self._heap = []  # (-fingerprint, number, piece): the largest fingerprint comes first.
        self.read = self.kept = self.documents = 0
        self._pieces = 0

    def add(self, text: bytes) -> None:
        """Takes one text."""
        self.documents += 1
        self.read += len(text)
        for piece in pieces(text):
            heapq.heappush(self._heap, (-_fingerprint(piece), self._pieces, piece))
            self._pieces += 1
            self.kept += len(piece)
            while self.kept > self._limit:
                self.kept -= len(heapq.heappop(self._heap)[2])

    @property
    def is_whole(self) -> bool:
        """Whether all that was read is in the sample."""
        return len(self._heap) == self._pieces

    def texts(self) -> Iterator[bytes]:
        """The pieces in the order in which they were read; empties the sample."""
        self._heap.sort(key=lambda entry: entry[1], reverse=True)
        while self._heap:
            yield self._heap.pop()[2]


def _fingerprint(piece):
    return int.from_bytes(hashlib.blake2b(piece, digest_size=8).digest(), "big")
