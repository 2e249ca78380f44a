"""Checks of a setting's value, each with one message: the setting, its value, what was expected."""

from primer.errors import UsageError


def whole_number(
    setting: str,
    value: object,
    least: int = 1,
    expected: str | None = None,
    error: type[Exception] = UsageError,
) -> int:
    """Refuses a value that is not a whole number, or too small; a bool is no number.

    Args:
        setting: its name, as the user writes it.
        value: what was given.
        least: the smallest value that can work.
        expected: what the message names instead of "a whole number of `least` or more".
        error: the class of the error; layers raise ValueError.

    Returns:
        The value.

    Raises:
        UsageError, or `error`: the value cannot work.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        wanted = expected or f"a whole number of {least} or more"
        raise error(f"{setting} = {value!r}: expected {wanted}")
    return value


def positive_number(
    setting: str,
    value: object,
    expected: str | None = None,
    error: type[Exception] = UsageError,
) -> float:
    """Refuses a value that is not a finite number above 0; arguments as for `whole_number`."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        raise error(f"{setting} = {value!r}: expected {expected or 'a number above 0'}")
    return value
