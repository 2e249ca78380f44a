"""Gin's global configuration, set aside for the time of a block.

gin has one configuration in a process. A notebook that opens three models, or a command that
evaluates several directories, needs one for each of them, and its own again afterwards.
"""

import contextlib

import gin

from primer.gin_config import gin_state


@contextlib.contextmanager
def isolated():
    """An empty configuration inside the block; the one from before after it."""
    before = gin_state.save()
    gin.clear_config(clear_constants=False)
    try:
        yield
    finally:
        gin_state.restore(before)
