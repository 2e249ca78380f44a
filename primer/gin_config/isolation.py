"""Gin's global configuration, set aside for the time of a block.

gin has one configuration in a process. A notebook that opens three models, or a command that
evaluates several directories, needs one for each of them, and its own again afterwards.
"""

import contextlib

from gin import config as gin_config

_STATES = ("_CONFIG", "_IMPORTS", "_SINGLETONS", "_OPERATIVE_CONFIG")


@contextlib.contextmanager
def isolated():
    """An empty configuration inside the block; the one from before after it."""
    before = {name: getattr(gin_config, name).copy() for name in _STATES}
    locked = gin_config.config_is_locked()
    gin_config.clear_config(clear_constants=False)
    try:
        yield
    finally:
        gin_config.clear_config(clear_constants=False)
        for name, value in before.items():
            getattr(gin_config, name).clear()
            getattr(gin_config, name).update(value)
        if locked:
            gin_config._set_config_is_locked(True)
