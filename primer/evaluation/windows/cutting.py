"""Cuts a text into windows of the model's length.

A row is one window: what the model reads at once. It holds one or more pieces. A piece is a range
of tokens that see each other; the pieces of a row do not see each other. Each token of the text is
counted in exactly one piece. The tokens at the front of a piece may be context that another piece
counts.
"""

import dataclasses

import numpy as np

from primer.evaluation.tokenized_split import TokenizedSplit
from primer.evaluation.windows import packing


@dataclasses.dataclass(frozen=True)
class Windows:
    """Pieces of a text in rows; the arrays are [pieces] int64, sorted by row and by column.

    Attributes:
        length: tokens of a row.
        rows, columns: the place of each piece's first token.
        starts: the index of that token in the text.
        lengths: tokens of each piece.
        contexts: how many tokens at the front of each piece are context that is not counted.
    """

    length: int
    rows: np.ndarray
    columns: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    contexts: np.ndarray

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return int(self.rows[-1]) + 1 if len(self.rows) else 0

    def fill_rows(self, ids: np.ndarray, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows from `first` up to `end` as the model reads them.

        Args:
            ids: the tokens of the text, [tokens].
            first, end: row numbers.

        Returns:
            (targets, segments), both [rows, length] int32: the tokens, and the number of each
            token's piece in its row, from 1. Both are 0 at padding.
        """
        pieces = slice(*np.searchsorted(self.rows, (first, end)))
        rows, lengths = self.rows[pieces] - first, self.lengths[pieces]
        places = ranges(rows * self.length + self.columns[pieces], lengths)
        targets = np.zeros([(end - first) * self.length], np.int32)
        segments = np.zeros_like(targets)
        targets[places] = ids[ranges(self.starts[pieces], lengths)]
        numbers = np.arange(len(rows)) - np.searchsorted(rows, rows) + 1
        segments[places] = np.repeat(numbers, lengths)
        shape = (end - first, self.length)
        return targets.reshape(shape), segments.reshape(shape)

    def counted_tokens(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the tokens that the rows from `first` up to `end` count, and their places.

        Returns:
            (tokens, places), both [tokens] int64: indices in the text, and indices in the
            flattened rows.
        """
        pieces = slice(*np.searchsorted(self.rows, (first, end)))
        contexts = self.contexts[pieces]
        lengths = self.lengths[pieces] - contexts
        columns = (self.rows[pieces] - first) * self.length + self.columns[pieces]
        starts = self.starts[pieces]
        return ranges(starts + contexts, lengths), ranges(columns + contexts, lengths)


def stream(text: TokenizedSplit, length: int) -> Windows:
    """Cuts the token stream every `length` tokens."""
    return _one_to_a_row(length, *_cut(np.array([len(text.ids)]), length))


def sliding(text: TokenizedSplit, length: int, stride: int) -> Windows:
    """Cuts the token stream into overlapping windows that start every `stride` tokens.

    The first row counts all of its tokens, every other row its last `stride`.
    """
    number = len(text.ids)
    further = max(-(-(number - length) // stride), 0)
    starts = np.arange(1 + further, dtype=np.int64) * stride
    contexts = np.full_like(starts, length - stride)
    contexts[0] = 0
    return _one_to_a_row(length, starts, np.minimum(number - starts, length), contexts)


def documents(text: TokenizedSplit, length: int) -> Windows:
    """Cuts each document every `length` tokens; a row has one piece."""
    return _one_to_a_row(length, *_cut(text.lengths, length))


def packed(text: TokenizedSplit, length: int) -> Windows:
    """Cuts as `documents` does and packs as many pieces into a row as fit."""
    starts, lengths = _cut(text.lengths, length)
    return packed_pieces(length, starts, lengths, np.zeros_like(starts))


def packed_pieces(
    length: int, starts: np.ndarray, lengths: np.ndarray, contexts: np.ndarray
) -> Windows:
    """Packs given pieces, as many into a row as fit; the arrays are those of `Windows`."""
    rows, columns = packing.pack(lengths, length)
    order = np.lexsort((columns, rows))
    return Windows(length, *(x[order] for x in (rows, columns, starts, lengths, contexts)))


def _one_to_a_row(length, starts, lengths, contexts=None):
    rows = np.arange(len(starts), dtype=np.int64)
    zeros = np.zeros_like(rows)
    return Windows(length, rows, zeros, starts, lengths, zeros if contexts is None else contexts)


def _cut(lengths, length):
    """Cuts documents of these lengths into (starts, lengths) of pieces of at most `length`."""
    pieces = -(-lengths // length)
    inner = ranges(np.zeros_like(pieces), pieces) * length
    starts = np.repeat(np.cumsum(lengths) - lengths, pieces) + inner
    return starts, np.minimum(np.repeat(lengths, pieces) - inner, length)


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Concatenates ranges: starts [4, 0] and lengths [3, 2] give [4, 5, 6, 0, 1]."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum(), dtype=np.int64)
