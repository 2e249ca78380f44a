"""Checks of numbers: valid values, and the errors of the others."""

import pytest

from primer.common import checks
from primer.errors import UsageError


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None])
def test_other_types_and_small_numbers_are_refused(value):
    with pytest.raises(UsageError, match=r"shards = .*: expected a whole number of 1 or more"):
        checks.whole_number("shards", value)


def test_valid_values_are_returned():
    assert checks.whole_number("seed", 0, least=0) == 0
    assert checks.positive_number("rate", 0.5) == 0.5


@pytest.mark.parametrize("value", [0, -0.5, float("inf"), float("nan"), True, "1", None])
def test_other_types_and_infinite_numbers_are_refused(value):
    with pytest.raises(ValueError, match=r"rate = .*: expected seconds"):
        checks.positive_number("rate", value, "seconds", ValueError)
