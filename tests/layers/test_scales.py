"""A factor is a number or a root of the width."""

import pytest

from primer.layers import scales


@pytest.mark.parametrize(
    "value, expected", [("sqrt", 8.0), ("rsqrt", 0.125), (0.5, 0.5), (3, 3.0), (1, 1.0)]
)
def test_values(value, expected):
    found = scales.resolve("logit_scale", value, 64)
    assert found == expected and isinstance(found, float)


@pytest.mark.parametrize("value", ["root", 0, -1.0, float("inf"), float("nan"), True, None])
def test_the_error_names_the_setting_and_the_values(value):
    with pytest.raises(ValueError, match="^logit_scale = .*a number above 0, .sqrt. or .rsqrt."):
        scales.resolve("logit_scale", value, 64)
