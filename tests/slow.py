"""Test parameters of which a few run always and the others only with -m slow."""

import pytest


def all_but(quick, values, name=str):
    """Returns test parameters, marked slow except the quick ones.

    Args:
        quick: a predicate of a value, or a collection of the quick values.
        values: one value, or one tuple of parameters, for each test.
        name: a function that returns the readable id of a value.
    """
    is_quick = quick if callable(quick) else quick.__contains__
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)),
            id=name(value),
            marks=[] if is_quick(value) else [pytest.mark.slow],
        )
        for value in values
    ]
