"""A repeatable sample of any amount of text, in constant memory.

Of all pieces of text the ones with the smallest fingerprints are kept, up to a limit. The sample is
therefore independent of the order of the texts, needs one pass, and keeps or drops a piece of text
wherever it occurs.
"""

import hashlib
import heapq
from collections.abc import Iterator

PIECE = 1 << 20  # Maximum bytes of a piece.


def pieces(text: bytes, limit: int = PIECE) -> Iterator[bytes]:
    """Yields a text in pieces, cut before a line end, else at a blank, else between characters.

    Args:
        text: UTF-8.
        limit: maximum bytes of a piece.
    """
    start = 0
    while len(text) - start > limit:
        end = start + limit
        cut = text.rfind(b"\n", start + 1, end + 1)
        blank = -1 if cut > 0 else text.rfind(b" ", start + 1, end + 1)
        if cut < 0:
            cut = blank if blank > 0 else _between_characters(text, end)
        yield text[start:cut]
        start = cut + (cut == blank)  # The blank at the cut is dropped.
    yield text[start:]


def _between_characters(text, end):
    while text[end] & 0xC0 == 0x80:
        end -= 1
    return end


class Sample:
    """A sample of pieces of texts, up to a number of bytes.

    Args:
        limit: bytes to keep; at least PIECE.

    Attributes:
        total: bytes of all texts.
        kept: bytes of the sample.
        documents: number of texts.
    """

    def __init__(self, limit: int) -> None:
        self._limit = max(limit, PIECE)
        # (-fingerprint, number, piece): the piece with the largest fingerprint is popped first.
        self._heap: list[tuple[int, int, bytes]] = []
        self.total = self.kept = self.documents = 0
        self._pieces = 0

    def add(self, text: bytes) -> None:
        """Adds one text."""
        self.documents += 1
        self.total += len(text)
        for piece in pieces(text):
            heapq.heappush(self._heap, (-_fingerprint(piece), self._pieces, piece))
            self._pieces += 1
            self.kept += len(piece)
            while self.kept > self._limit:
                self.kept -= len(heapq.heappop(self._heap)[2])

    @property
    def is_whole(self) -> bool:
        """Whether the sample contains all texts."""
        return len(self._heap) == self._pieces

    def texts(self) -> Iterator[bytes]:
        """Yields the pieces in the order in which they were added; empties the sample."""
        self._heap.sort(key=lambda entry: entry[1], reverse=True)
        while self._heap:
            yield self._heap.pop()[2]


def _fingerprint(piece):
    return int.from_bytes(hashlib.blake2b(piece, digest_size=8).digest(), "big")
