"""Pauses of Python's cyclic garbage collector while millions of long-lived objects are created.

Importing TensorFlow and building a graph leave next to no garbage, yet the collector traverses all
their objects again and again: three of the twenty seconds of a small model's start.
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Turns the collector off inside the block."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def freeze_existing() -> None:
    """Excludes all existing objects from future collections. For commands, not for notebooks."""
    gc.freeze()
