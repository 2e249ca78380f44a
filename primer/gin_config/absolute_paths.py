"""Makes the paths of data in gin's configuration absolute, and expands `~`."""

from typing import Any

import gin

from primer.common import path_settings, user_paths
from primer.gin_config import gin_state


def make_absolute() -> None:
    """Replaces the bound values of `path_settings.declared()`, in every scope.

    Where a macro gives the value, the macro's value is replaced.
    """
    for name in path_settings.declared():
        selector, _, parameter = name.rpartition(".")
        for (scope, bound_selector), values in list(gin_state.bindings().items()):
            if parameter in values and f".{bound_selector}".endswith(f".{selector}"):
                _replace(scope, bound_selector, parameter, values[parameter])


def _replace(scope, selector, parameter, value):
    if isinstance(value, gin.config.ConfigurableReference):
        scope, selector = value.config_key
        values = gin_state.bindings_of(scope, selector)
        if selector == gin_state.MACRO and "value" in values:
            _replace(scope, selector, "value", values["value"])
        return
    absolute = _absolute(value)
    if absolute != value:
        with gin.unlock_config():
            gin.bind_parameter((scope, selector, parameter), absolute)


def _absolute(value: Any) -> Any:
    if isinstance(value, str):
        return user_paths.absolute(value) if value else value
    if isinstance(value, (list, tuple)):
        return type(value)(map(_absolute, value))
    return value
