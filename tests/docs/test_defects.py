"""The tests that docs/defects.md names exist."""

import pytest

from tests.docs import defects


@pytest.mark.parametrize("row", defects.rows(), ids=lambda row: row.original[:60])
def test_the_test_of_a_row_exists(row):
    assert row.test_exists()


def test_every_row_has_its_own_text():
    originals = [row.original for row in defects.rows()]
    assert len(originals) > 30
    assert len(set(originals)) == len(originals)
