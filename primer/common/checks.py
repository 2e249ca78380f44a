"""Checks of a setting's value; the error names the setting, its value and what was expected."""

import os
import re
from collections.abc import Iterable, Sequence
from typing import TypeGuard

from primer.common import user_paths
from primer.errors import UsageError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


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


def boolean(setting: str, value: object, error: type[Exception] = UsageError) -> bool:
    """Raises an error unless a value is True or False; a text or a number is neither.

    Args:
        setting: the setting's name, as the user writes it.
        value: the setting's value.
        error: the class of the error; layers raise ValueError.

    Returns:
        The value.

    Raises:
        UsageError, or `error`: the value is not valid.
    """
    if not isinstance(value, bool):
        raise error(f"{setting} = {value!r}: expected True or False")
    return value


def one_of(setting: str, value: object, values: Sequence[str]) -> str:
    """Raises UsageError unless a value is one of several words.

    Args:
        setting: the setting's name, as the user writes it.
        value: the setting's value.
        values: the valid values, two or more.

    Returns:
        The value.
    """
    if not isinstance(value, str) or value not in values:
        words = [f'"{word}"' for word in values]
        expected = f"{', '.join(words[:-1])} or {words[-1]}"
        raise UsageError(f"{setting} = {value!r}: expected {expected}")
    return value


def positive_number(
    setting: str,
    value: object,
    expected: str | None = None,
    error: type[Exception] = UsageError,
) -> float:
    """Raises an error unless a value is a finite number above 0; arguments as `whole_number`."""
    if not is_number(value) or not 0 < value < float("inf"):
        raise error(f"{setting} = {value!r}: expected {expected or 'a number above 0'}")
    return value


def number_from_zero(
    setting: str,
    value: object,
    expected: str | None = None,
    error: type[Exception] = UsageError,
) -> float:
    """Raises an error unless a value is a finite number from 0; arguments as `whole_number`."""
    if not is_number(value) or not 0 <= value < float("inf"):
        raise error(f"{setting} = {value!r}: expected {expected or 'a number of 0 or more'}")
    return value


def number_with_unit(setting: str, text: str, expected: str) -> float:
    """Returns the number above 0 that a text like 300B, 1.5T, 3M, 20K or 20,000,000 stands for.

    Args:
        setting: the setting's name, as the user writes it.
        text: the text.
        expected: the message's words for what was expected.

    Raises:
        UsageError: it is no such text.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMBT]?)", text.replace(",", "").strip().upper())
    if not match or not float(match[1]):
        raise UsageError(f"{setting} {text!r}: expected {expected}")
    return float(match[1]) * _UNITS[match[2]]


def fraction(setting: str, value: object) -> float:
    """Raises UsageError unless a value is a number from 0 to below 1; returns it."""
    expected = "a number from 0 to below 1"
    number = number_from_zero(setting, value, expected)
    if number >= 1:
        raise UsageError(f"{setting} = {value!r}: expected {expected}")
    return number


def regular_expression(setting: str, value: str) -> re.Pattern:
    """Raises UsageError unless a value is a regular expression; returns it compiled."""
    try:
        return re.compile(value)
    except (TypeError, re.error) as error:
        message = f"{setting} = {value!r}: expected a regular expression ({error})"
        raise UsageError(message) from error


def norm_epsilon(norm: str, value: object) -> None:
    """Raises an error unless a value is a valid `epsilon` of a norm.

    With 0, a row of padding would be NaN.

    Args:
        norm: the name of the norm, as gin files write it.
        value: the number that it adds to the variance.

    Raises:
        ValueError: the value is no finite number above 0.
    """
    expected = "a number above 0, such as 1e-6 (the slot norm_epsilon sets it)"
    positive_number(f"{norm}.epsilon", value, expected, ValueError)


def output_file(
    path: str, option: str, overwrite: bool | None = None, inputs: Iterable[str] = ()
) -> None:
    """Raises an error, before the long work, where a command would write over another file.

    Args:
        path: the file that the command is going to write.
        option: the option that names it.
        overwrite: whether the user agrees to replace a file; None: the command has no --overwrite.
        inputs: files that the command reads. They are never replaced, however `path` is spelled.

    Raises:
        UsageError: the file exists, or is one of `inputs`.
    """
    same = next((own for own in inputs if _is_same_file(path, own)), None)
    if same is not None:
        raise UsageError(f"{option} {path} is {same}, which this command reads; name another file")
    if not overwrite and _exists(path):
        hint = "" if overwrite is None else ", or add --overwrite"
        raise UsageError(f"{option} {path} is there already; name another file{hint}")


def is_number(value: object) -> TypeGuard[float]:
    """Returns whether a value is a number; a bool is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _exists(path):
    if user_paths.is_remote(path):
        import tensorflow as tf

        return tf.io.gfile.exists(path)
    # A link that leads nowhere is somebody's too.
    return any(map(os.path.lexists, {path, os.path.expanduser(path)}))


def _is_same_file(path, other):
    if user_paths.is_remote(path) or user_paths.is_remote(other):
        return path == other
    path, other = map(os.path.expanduser, (path, other))
    return os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)
