"""The mode and target device of the graph under construction.

Mesh-TF calls the functions that choose data types and operations without saying whether the graph
is for training, evaluation or inference, nor for which device. They read both from here.
"""

import contextlib
import contextvars
from collections.abc import Iterator

from primer.common import console, graph_marks

# (mode, for_tpu). A context variable because Mesh-TF's and TensorFlow's callbacks take no further
# arguments.
_build = contextvars.ContextVar("build", default=("none", False))
_compiling = contextvars.ContextVar("compiling", default=False)


@contextlib.contextmanager
def building(mode: str, for_tpu: bool = False) -> Iterator[None]:
    """Declares the mode and device of the graph that the block builds; blocks can be nested."""
    token = _build.set((mode, bool(for_tpu)))
    try:
        yield
    finally:
        _build.reset(token)


@contextlib.contextmanager
def compiling(by_xla: bool) -> Iterator[None]:
    """Declares whether XLA is to compile the graphs that the block builds."""
    token = _compiling.set(by_xla)
    try:
        yield
    finally:
        _compiling.reset(token)


def mode() -> str:
    """Returns the mode as estimators name it: train, eval or infer; "none" outside `building`."""
    return _build.get()[0]


def is_forward() -> bool:
    """Returns whether the graph has no gradients."""
    return mode() in ("eval", "infer")


def for_tpu() -> bool:
    """Returns whether a TPU will run the graph."""
    return _build.get()[1]


def for_xla() -> bool:
    """Returns whether XLA compiles the graph, as always on a TPU: it needs static shapes."""
    return for_tpu() or _compiling.get()


def say_caveats() -> None:
    """Prints what layers have to say about the default graph, each sentence once a process."""
    for sentence in [*graph_marks.caveats(), *graph_marks.remarks()]:
        console.say_once(sentence)
