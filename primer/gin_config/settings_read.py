"""The parameters that code reads from gin, from gin's record of the calls, as plain data."""

import copy
from collections.abc import Callable
from typing import Any

import gin

from primer.checkpoints.description import plain_settings
from primer.gin_config import gin_state
from primer.gin_config.gin_state import MACRO

_CONSTANT = "gin.constant"


def settings_read(code: Callable[[], object]) -> dict[str, Any]:
    """Runs code and returns the parameters of all configurables that it calls.

    Gin's own record of calls is left as it was.

    Args:
        code: a function without arguments.

    Returns:
        {"scope/configurable.parameter": plain value}, sorted; those that gin supplied or that kept
        their default, and not those that a caller passed. References to macros are replaced by
        their values. A configurable is named without its module, unless two of a name are called.
    """
    with gin_state.calls_recorded_apart() as calls:
        code()
        called = {key: dict(values) for key, values in calls.items() if key[1] != MACRO}
    names = _short_names({selector for _, selector in called})
    return {
        f"{scope}/{names[selector]}.{name}" if scope else f"{names[selector]}.{name}": _plain(value)
        for (scope, selector), values in sorted(called.items())
        for name, value in sorted(values.items())
    }


def _short_names(selectors: set[str]) -> dict[str, str]:
    """Returns {selector: its last part, or the selector where two have the same last part}."""
    last = [selector.rsplit(".", 1)[-1] for selector in selectors]
    return {s: n if last.count(n) == 1 else s for s, n in zip(selectors, last, strict=True)}


def _plain(value: Any) -> Any:
    if isinstance(value, gin.config.ConfigurableReference):
        return _of_reference(value)
    if isinstance(value, dict):
        items = {str(_plain(key)): _plain(item) for key, item in value.items()}
        return plain_settings.as_pairs(items)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return plain_settings.plain(value)


def _of_reference(reference: gin.config.ConfigurableReference) -> Any:
    """Returns the value of a macro or constant; of a function its name: its call is recorded."""
    scope, selector = "/".join(reference.scopes), reference.configurable.selector
    if selector == MACRO and "value" in gin_state.bindings_of(scope, MACRO):
        return _plain(gin_state.bindings_of(scope, MACRO)["value"])
    if selector == _CONSTANT:
        return plain_settings.plain(copy.deepcopy(reference))
    name = "/".join([*reference.scopes, selector.rsplit(".", 1)[-1]])
    return f"@{name}()" if reference.evaluate else f"@{name}"
