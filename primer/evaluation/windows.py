"""How a text is cut into windows of the model's length: which token stands where.

A piece is a range of tokens that see each other, in a place of a row; a row is what the model reads
at once, and its pieces do not see each other. Each token of the text is counted in one piece, in
which it may stand behind tokens that are there as its context alone.
"""

import dataclasses

import numpy as np

from primer.evaluation import packing


@dataclasses.dataclass(frozen=True)
class Windows:
    """Pieces of a text in rows, all [pieces] int64, sorted by row and by column.

    Attributes:
        length: tokens that a row has room for.
        rows, columns: the place of each piece's first token.
        starts: which token of the text that is.
        lengths: tokens of each piece.
        contexts: how many of these, at the front, are counted elsewhere.
    """

    length: int
    rows: np.ndarray
    columns: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    contexts: np.ndarray

    @property
    def number(self) -> int:
        """How many rows there are."""
        return int(self.rows[-1]) + 1 if len(self.rows) else 0

    def filled(self, ids, first, end):
        """The rows from `first` to `end`.

        Args:
            ids: the tokens of the text, [tokens].
            first, end: numbers of rows.

        Returns:
            (targets, segments), both [rows, length] int32: the tokens, 0 where there is none, and
                the
            number of each token's piece in its row, from 1, 0 where there is none.
        """
        pieces = slice(*np.searchsorted(self.rows, (first, end)))
        rows, lengths = self.rows[pieces] - first, self.lengths[pieces]
        places = _ranges(rows * self.length + self.columns[pieces], lengths)
        targets = np.zeros([(end - first) * self.length], np.int32)
        segments = np.zeros_like(targets)
        targets[places] = ids[_ranges(self.starts[pieces], lengths)]
        numbers = np.arange(len(rows)) - np.searchsorted(rows, rows) + 1
        segments[places] = np.repeat(numbers, lengths)
        shape = (end - first, self.length)
        return targets.reshape(shape), segments.reshape(shape)

    def counted(self, first, end):
        """Which tokens of the text are counted in the rows from `first` to `end`, and where.

        Returns:
            (tokens, places), both [tokens] int64: numbers of tokens in the text, and places in the
            rows, joined.
        """
        pieces = slice(*np.searchsorted(self.rows, (first, end)))
        contexts = self.contexts[pieces]
        lengths = self.lengths[pieces] - contexts
        columns = (self.rows[pieces] - first) * self.length + self.columns[pieces]
        starts = self.starts[pieces]
        return _ranges(starts + contexts, lengths), _ranges(columns + contexts, lengths)


def stream(text, length) -> Windows:
    """All tokens in rows one after the other."""
    return _one_to_a_row(length, *_cut(np.array([len(text.ids)]), length))


def sliding(text, length, stride) -> Windows:
    """All tokens in rows that overlap, each `stride` tokens behind the one before.

    A row counts its last `stride` tokens, the first row all.
    """
    number = len(text.ids)
    further = max(-(-(number - length) // stride), 0)
    starts = np.arange(1 + further, dtype=np.int64) * stride
    contexts = np.full_like(starts, length - stride)
    contexts[0] = 0
    return _one_to_a_row(length, starts, np.minimum(number - starts, length), contexts)


def documents(text, length) -> Windows:
    """Each document in rows of its own, one after the other."""
    return _one_to_a_row(length, *_cut(text.lengths, length))


def packed(text, length) -> Windows:
    """The pieces of `documents`, as many to a row as fit."""
    starts, lengths = _cut(text.lengths, length)
    return packed_pieces(length, starts, lengths, np.zeros_like(starts))


def packed_pieces(length, starts, lengths, contexts) -> Windows:
    """Any pieces, as many to a row as fit; see `Windows` for what they are."""
    rows, columns = packing.pack(lengths, length)
    order = np.lexsort((columns, rows))
    return Windows(length, *(x[order] for x in (rows, columns, starts, lengths, contexts)))


def _one_to_a_row(length, starts, lengths, contexts=None):
    rows = np.arange(len(starts), dtype=np.int64)
    zeros = np.zeros_like(rows)
    return Windows(length, rows, zeros, starts, lengths, zeros if contexts is None else contexts)


def _cut(lengths, length):
    """(starts, lengths) of the pieces of documents of these lengths, each of at most `length`."""
    pieces = -(-lengths // length)
    inner = _ranges(np.zeros_like(pieces), pieces) * length
    starts = np.repeat(np.cumsum(lengths) - lengths, pieces) + inner
    return starts, np.minimum(np.repeat(lengths, pieces) - inner, length)


def _ranges(starts, lengths):
    """The numbers of all ranges, joined: [4, 5, 6, 0, 1] of starts [4, 0] and lengths [3, 2]."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum(), dtype=np.int64)
