"""Python's cycle collector, out of the way while long-lived objects are made by the million.

Importing TensorFlow and building a graph leave next to no garbage, and the collector looks through
all of it again and again: three of the twenty seconds of a small model's start.
"""

import contextlib
import gc


@contextlib.contextmanager
def paused():
    """Leaves garbage alone inside the context."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def freeze_existing():
    """Lets the collector never look again at what exists now. For commands, not for notebooks."""
    gc.freeze()
