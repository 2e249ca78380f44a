"""Misspelled slots and gin's own errors, in one line."""

import gin
import pytest

from primer.errors import UsageError
from primer.gin_config import gin_errors


@gin.configurable
def taker(rate=0.0, size=1):
    return rate, size


@pytest.fixture
def slots():
    gin.parse_config(["taker.rate = %dropout_rate", "dropout_rate = 0.0", "d_ff = 3"])


def test_a_slot_that_a_binding_refers_to_is_accepted(slots, capsys):
    gin_errors.check_macro_names(["dropout_rate = 0.1", "taker.size = 2"])
    assert capsys.readouterr().err == ""


def test_a_misspelled_slot_is_an_error(slots):
    with pytest.raises(UsageError, match="did you mean dropout_rate?"):
        gin_errors.check_macro_names(["dropout_rat = 0.1"])


def test_a_slot_that_no_binding_refers_to_is_reported(slots, capsys):
    gin_errors.check_macro_names(["d_ff = 4"])
    assert "has no effect: nothing refers to d_ff" in capsys.readouterr().err


def test_an_error_of_gin_is_one_line():
    with pytest.raises(ValueError) as caught:
        gin.parse_config("taker.sise = 3")
    text = str(gin_errors.as_usage_error(caught.value))
    assert "'sise'" in text and "\n" not in text


@pytest.mark.parametrize(
    "text, hint",
    [
        ("taker.rate = @takr", "Did you mean taker?"),
        ("taker.rate = @some.scope/module.takr()", "Did you mean taker?"),
        ("takr.rate = 1", "Did you mean taker?"),
        ("taker.rate = @nothing_like_it", None),
    ],
)
def test_a_misspelled_configurable_gets_a_suggestion(text, hint):
    with pytest.raises(ValueError) as caught:
        gin.parse_config(text)
    found = str(gin_errors.as_usage_error(caught.value))
    assert "No configurable matching" in found
    assert found.endswith(hint) if hint else "Did you mean" not in found
