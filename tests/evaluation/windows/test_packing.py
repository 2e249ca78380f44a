"""Best-fit packing: no overlap, little padding, the same rows for the same text."""

import numpy as np
import pytest

from primer.evaluation.windows import packing


@pytest.mark.parametrize("room, mean", [(64, 30), (512, 30), (512, 300)])
def test_packing_leaves_a_few_percent_of_padding(room, mean):
    lengths = np.minimum(np.random.default_rng(0).poisson(mean, 20_000) + 1, room)
    rows, columns = packing.pack(lengths, room)
    order = np.lexsort((columns, rows))
    ends = (columns + lengths)[order]
    assert ends.max() <= room and rows.max() + 1 == len(np.unique(rows))
    first = np.diff(rows[order], prepend=-1) > 0
    np.testing.assert_array_equal(columns[order], np.where(first, 0, np.roll(ends, 1)))
    share = 1 - lengths.sum() / ((rows.max() + 1) * room)
    assert share < {(64, 30): 0.06, (512, 30): 0.02, (512, 300): 0.45}[room, mean]
    again = packing.pack(lengths, room)
    np.testing.assert_array_equal(again, (rows, columns))
