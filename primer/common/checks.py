"""Checks of a setting's value; the error names the setting, its value and what was expected."""

from primer.errors import UsageError


def whole_number(
    setting: str,
    value: object,
    least: int = 1,
    expected: str | None = None,
    error: type[Exception] = UsageError,
) -> int:
    """Raises an error unless a value is a whole number of `least` or more; a bool is no number.

    Args:
        setting: the setting's name, as the user writes it.
        value: the setting's value.
        least: the smallest valid value.
        expected: the message's words in place of "a whole number of `least` or more".
        error: the class of the error; layers raise ValueError.

    Returns:
        The value.

    Raises:
        UsageError, or `error`: the value is not valid.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        expected = expected or f"a whole number of {least} or more"
        raise error(f"{setting} = {value!r}: expected {expected}")
    return value


def positive_number(
    setting: str,
    value: object,
    expected: str | None = None,
    error: type[Exception] = UsageError,
) -> float:
    """Raises an error unless a value is a finite number above 0; arguments as `whole_number`."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not 0 < value < float("inf")
    ):
        raise error(f"{setting} = {value!r}: expected {expected or 'a number above 0'}")
    return value
