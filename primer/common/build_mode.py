"""What the graph that is being built is for: its mode, and whether a TPU will run it.

Mesh-TF's functions that choose data types and operations are not told, and ask here.
"""

import contextlib

from primer.common import console, graph_marks

_graphs = [("none", False)]  # Innermost last.


@contextlib.contextmanager
def building(mode, for_tpu=False):
    """Inside the block the graph of this mode is built, for a TPU or for other devices."""
    _graphs.append((mode, bool(for_tpu)))
    try:
        yield
    finally:
        _graphs.pop()


def mode() -> str:
    """The mode as estimators have it: train, eval or infer; "none" where none is said."""
    return _graphs[-1][0]


def is_forward() -> bool:
    """Whether the graph has no gradients."""
    return mode() in ("eval", "infer")


def for_tpu() -> bool:
    """Whether a TPU will run the graph."""
    return _graphs[-1][1]


def say_caveats():
    """Says what the layers of the default graph want to be said with its numbers or texts."""
    for caveat in graph_marks.caveats():
        console.say_once(caveat)
