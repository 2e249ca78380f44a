"""How many rows a batch has: few rows of padding, and never more than the bound of memory."""

import pytest

from primer.errors import UsageError
from primer.evaluation.windows import batch_rows


@pytest.mark.parametrize(
    "windows, length, rows",
    [
        (3, 512, 3),  # One batch without padding.
        (4, 512, 4),
        (5, 512, 3),  # Six rows in two batches, not eight.
        (17, 128, 9),
        (1600, 128, 16),
        (1, 2048, 1),
        (7, 4096, 1),
    ],
)
def test_the_last_batch_has_few_rows_of_padding(windows, length, rows):
    assert batch_rows.rows_for(windows, length) == rows


def test_no_choice_costs_more_than_the_default():
    default = batch_rows.rows_of_batch(None, 64)
    for windows in range(1, 3 * default):
        rows = batch_rows.rows_for(windows, 64)
        batches = -(-windows // rows)
        assert 1 <= rows <= default
        assert batches * rows <= -(-windows // default) * default
        # Batches that are nearly empty would cost more than the padding.
        assert batches <= 2 * -(-windows // default)


def test_the_mesh_divides_the_rows():
    mesh = ("all:4", "batch:all")
    assert batch_rows.rows_for(17, 128, *mesh) == 12
    assert batch_rows.rows_for(1, 4096, *mesh) == 4
    with pytest.raises(UsageError, match="expected a multiple of 4"):
        batch_rows.rows_of_batch(6, 128, *mesh)
