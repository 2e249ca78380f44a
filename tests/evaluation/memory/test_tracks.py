"""Rows of batches read whole texts in order, whatever their lengths and the batch."""

import numpy as np
import pytest

from primer.evaluation.memory import tracks
from primer.evaluation.memory.reach import Memory
from primer.evaluation.tokenized_split import from_tokens
from primer.evaluation.windows import cutting

LENGTH = 4


def scheduled(lengths, batch_rows, rows_before):
    """(text, `Tracks`) of documents of these lengths."""
    text = from_tokens(np.arange(1, sum(lengths) + 1, dtype=np.int32), lengths, 0)
    windows = cutting.documents(text, LENGTH)
    continues = ~np.isin(windows.starts, text.starts)
    return text, tracks.schedule(windows, continues, batch_rows, rows_before)


@pytest.mark.parametrize("rows_before", [0, 2, 50])
@pytest.mark.parametrize("batch_rows", [1, 3, 8])
@pytest.mark.parametrize("lengths", [[120], [3, 70, 1, 1, 9, 40], [2] * 9])
def test_every_row_continues_the_one_that_it_needs(lengths, batch_rows, rows_before):
    text, found = scheduled(lengths, batch_rows, rows_before)
    windows = found.windows
    counted, _ = windows.counted_tokens(0, windows.num_rows)
    np.testing.assert_array_equal(np.sort(counted), np.arange(len(text.ids)))
    start_of = dict(zip(windows.rows.tolist(), windows.starts.tolist(), strict=True))
    text_of = np.searchsorted(text.starts, windows.starts, "right")
    for row, start, own, counts in zip(
        windows.rows.tolist(),
        windows.starts,
        text_of,
        windows.lengths > windows.contexts,
        strict=True,
    ):
        before = row
        while not found.begins[before]:  # Back to where its memory began.
            assert start_of[before - batch_rows] == start_of[before] - LENGTH
            before -= batch_rows
        first = max(text.starts[own - 1], start - rows_before * LENGTH)
        assert start_of[before] <= first or not counts


def test_a_long_text_is_read_by_all_rows_of_a_batch():
    """30 windows by 4 rows: 8 each, and 2 of context before the second to the fourth."""
    _, found = scheduled([120], 4, 2)
    assert found.windows.num_rows <= 4 * (8 + 2)
    _, found = scheduled([120], 4, 50)
    assert len(found.windows.rows) == 30  # Parts would need the whole text before them.


def test_the_rows_before_a_row_are_those_of_all_layers():
    """Two layers keep five positions, in rows of four: two rows each."""
    assert Memory((5, 5), 4).rows_before(4) == 4
    assert Memory((4, 5), 4).rows_before(4) == 3
    assert Memory((4,), 4).rows_before(4, recomputed=1) == 2
