"""What gin has for a parameter, asked for without calling its function."""

import gin


def bound(name, default=None):
    """The value as it is bound: a number, a text, or gin's reference to a function or macro.

    Args:
        name: as gin has it, such as "utils.run.mode", or "%NAME" of a macro.
        default: the result where nothing is bound; defaults of functions do not count.
    """
    try:
        return gin.query_parameter(name)
    except ValueError:
        return default


def configured(name, default=None):
    """The value that a call would get: of a macro its value, of `@function()` what it returns.

    Args:
        name: as for `bound`.
        default: the result where nothing is bound, or a function itself (`@function`).
    """
    value = bound(name, default)
    if isinstance(value, gin.config.ConfigurableReference):
        return value.scoped_configurable_fn() if value.evaluate else default
    return value
