"""Windows for pairs of (context, continuation), of which only the continuations are scored."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from primer.evaluation.windows import cutting


def cut_pairs(
    pairs: Sequence[tuple[list[int], list[int]]], length: int
) -> tuple[np.ndarray, cutting.Windows]:
    """Packs the rolling windows of pairs of token ids.

    Args:
        pairs: (context, continuation).
        length: tokens of a window.

    Returns:
        (ids [tokens] int32, windows): all pairs joined, and the windows that count each token of
        the continuations once.
    """
    ids = np.array([i for pair in pairs for part in pair for i in part], np.int32)
    begins = itertools.accumulate((len(a) + len(b) for a, b in pairs), initial=0)
    pieces = [
        (begin + start, end - start, counted - start)
        for begin, (context, rest) in zip(begins, pairs, strict=False)
        for start, counted, end in rolling(len(context), len(context) + len(rest), length)
    ]
    columns = np.array(pieces, np.int64).reshape(-1, 3).T
    return ids, cutting.packed_pieces(length, *columns)


def rolling(first: int, number: int, length: int) -> Iterator[tuple[int, int, int]]:
    """Yields windows that count the tokens from `first` up to `number`, each once.

    Args:
        first: tokens at the front that are context alone.
        number: tokens in all.
        length: tokens of a window.

    Yields:
        (start, counted, end): a window has the tokens from `start` up to `end` and counts those
        from `counted` on. All windows but the text's first have at least one token of context, and
        as many as fit.
    """
    counted = first
    while counted < number:
        end = min(number, counted + length - (counted > 0))
        yield max(end - length, 0), counted, end
        counted = end
