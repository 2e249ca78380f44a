"""The values of gin's parameters, read without calling their functions."""

from typing import Any

import gin


def bound(name: str, default: Any = None) -> Any:
    """Returns the value as it is bound: a number, a text, or a reference to a function or macro.

    Args:
        name: gin's name, as in "utils.run.mode"; "%NAME" for a macro.
        default: the result without a binding; defaults of functions do not count.
    """
    try:
        return gin.query_parameter(name)
    except ValueError:
        return default


def configured(name: str, default: Any = None) -> Any:
    """Returns the value that a call would get: macros and `@function()` are evaluated.

    Args:
        name: as for `bound`.
        default: the result without a binding, or for a function itself (`@function`).
    """
    value = bound(name, default)
    if isinstance(value, gin.config.ConfigurableReference):
        return value.scoped_configurable_fn() if value.evaluate else default
    return value
