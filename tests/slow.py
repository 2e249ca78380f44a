"""Parameters of a test of which a few run in every test run, and the others with -m slow."""

import pytest


def all_but(quick, values, name=str):
    """Parameters whose tests are slow unless `quick` says otherwise.

    Args:
        quick: a function of a value, or the values themselves.
        values: one for each test; a tuple has as many as the test has parameters.
        name: gives a value's readable id.
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
