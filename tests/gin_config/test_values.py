"""A parameter's value as it is bound, and as a call would get it."""

import gin
import pytest

from primer.gin_config.values import bound, configured


@gin.configurable(module="values_test")
def valued(size=1, width=2):
    raise AssertionError("its value is read without a call")


@gin.configurable(module="values_test")
def seven():
    return 7


@pytest.mark.parametrize(
    "binding, as_bound, as_called",
    [
        ("3", "3", 3),
        ("[1, 2]", "[1, 2]", [1, 2]),
        ("%number", "%number", 5),
        ("@seven()", "@seven()", 7),
        ("@seven", "@seven", "default"),
        ("None", "None", None),
    ],
)
def test_a_bound_value(binding, as_bound, as_called):
    gin.parse_config(["number = 5", f"valued.size = {binding}"])
    assert repr(bound("values_test.valued.size", "default")) == as_bound
    assert configured("values_test.valued.size", "default") == as_called


@pytest.mark.parametrize("name", ["valued.width", "%nowhere", "nowhere.size"])
def test_without_a_binding_the_default_is_the_callers(name):
    assert bound(name) is None and configured(name) is None
    assert bound(name, 3) == 3 and configured(name, 3) == 3
