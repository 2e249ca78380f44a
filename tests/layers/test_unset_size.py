"""A size without a value raises an error with its name, only where it is used."""

import gin
import pytest

from primer import layers  # noqa: F401  (registers them with gin)


@gin.configurable(module="test_unset_size")
def sizes(used=0, unused=0):
    """Has two sizes."""
    return used


@pytest.mark.parametrize("size", ["d_ff", "d_model_narrow"])
def test_the_error_names_the_size_and_the_hint(size):
    gin.parse_config([f"{size} = @{size}/unset_size()", f"sizes.used = %{size}"])
    message = f'^{size} is not set, .*sizes/tiny.gin .*--gin_param="{size} = '
    with pytest.raises(ValueError, match=message):
        sizes()


def test_a_size_that_no_function_uses_raises_nothing():
    gin.parse_config(["d_ff = @d_ff/unset_size()", "sizes.used = 3"])
    assert sizes() == 3
