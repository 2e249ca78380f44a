"""Best-fit packing of pieces of text into rows of a fixed length."""

import numpy as np


def pack(lengths: np.ndarray, row_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Places each piece into the row with the least sufficient space, else into a new row.

    This is best fit (Johnson et al. 1974, https://doi.org/10.1137/0203025). It needs at most 1.7
    times as many rows as the best packing and, for sentences, a few percent more. Pieces are placed
    in their order, so the same text gives the same rows.

    Args:
        lengths: tokens of each piece, [pieces], from 1 to `row_length`.
        row_length: tokens of a row.

    Returns:
        (rows, columns), both [pieces] int64: the row and the column of each piece's first token.
    """
    rows = np.zeros(len(lengths), np.int64)
    columns = np.zeros_like(rows)
    rows_by_space: list[list[int]] = [[] for _ in range(row_length + 1)]
    spaces = 0  # Bit n is set when some row has space for exactly n tokens.
    num_rows = 0
    for piece, length in enumerate(lengths.tolist()):
        sufficient = spaces >> length << length
        if sufficient:
            space = (sufficient & -sufficient).bit_length() - 1
            row = rows_by_space[space].pop()
            if not rows_by_space[space]:
                spaces ^= 1 << space
        else:
            space, row, num_rows = row_length, num_rows, num_rows + 1
        rows[piece] = row
        columns[piece] = row_length - space
        space -= length
        if space:
            rows_by_space[space].append(row)
            spaces |= 1 << space
    return rows, columns
