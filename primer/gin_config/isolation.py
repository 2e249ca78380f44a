"""Sets gin's configuration aside for a block.

gin has one configuration per process. A notebook that opens three models, or a command that
evaluates several directories, needs one for each, and the earlier one back afterwards.
"""

import contextlib
from collections.abc import Iterator

import gin

from primer.gin_config import gin_state


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Empties gin's configuration inside the block and restores it afterwards; constants stay."""
    before = gin_state.save()
    gin.clear_config(clear_constants=False)
    try:
        yield
    finally:
        gin_state.restore(before)
