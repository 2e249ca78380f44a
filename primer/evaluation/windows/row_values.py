"""What a scorer feeds beside the tokens of rows: positions, and the token before each token."""

import numpy as np


def previous_tokens(targets: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Returns the token before each in its text, 0 before the first, as training has it.

    Args:
        targets: the tokens of rows, [rows, length].
        segments: the number of each token's text in its row, same shape.
    """
    same = segments[:, 1:] == segments[:, :-1]
    return np.pad(np.where(same, targets[:, :-1], 0), [(0, 0), (1, 0)])


def positions(segments: np.ndarray) -> np.ndarray:
    """Returns the position of each token in its text, as packed training examples have it.

    Args:
        segments: the number of each token's text in its row, [rows, length] int32.
    """
    index = np.broadcast_to(np.arange(segments.shape[1], dtype=np.int32), segments.shape)
    is_first = np.diff(segments, axis=1, prepend=0) != 0
    return index - np.maximum.accumulate(np.where(is_first, index, 0), axis=1)
