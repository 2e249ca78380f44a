"""Mesh-TF 0.1.21: initial values depend on what else a graph holds, and no seed repeats them.

It leaves the seed of a variable's initializer to TensorFlow, which counts operations. With the
patch an initial value is a function of the run's seed and the variable's name, whatever else the
graph holds and however a mesh splits it. `initial_values.initializer` may choose the distribution
of every weight by its name, whatever its layer.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.common import random_seed

# The graph collection that is not empty while no initial value of the graph will be used.
_RESTORED = "primer_weights_restored"


def patch(ops: ModuleType) -> None:
    """Patches `mesh_tensorflow.ops.Variable`."""
    ops.Variable.__init__ = _seeded_variable_init(ops.Variable.__init__)


@contextlib.contextmanager
def weights_restored() -> Iterator[None]:
    """A context that builds, in the default graph, zeros in place of random initial values.

    It is for graphs whose weights come from a checkpoint, and for graphs that never run: random
    initial values would be a good part of their operations.
    """
    marks = tf.get_collection_ref(_RESTORED)
    marks.append(True)
    try:
        yield
    finally:
        marks.pop()


@gin.configurable(module="primer")
def initial_values(
    initializer: Callable[[str, Any, Any], Any] | None = None,
) -> Callable[[str, Any, Any], Any] | None:
    """Returns the function that replaces the initializers of weights.

    Args:
        initializer: gets a weight's name, its own initializer and its mtf.Shape, and returns the
            one to use; None leaves all as they are. The slots of an optimizer are no weights.
    """
    return initializer


def _seeded_variable_init(stock_init):
    """Chooses initializers, and seeds random ones with the run's seed and the variable's name."""

    @functools.wraps(stock_init)
    def init(variable, mesh, name, shape, dtype, initializer, trainable, **kwargs):
        full_name = "/".join(filter(None, [tf.get_variable_scope().name, name]))
        if initializer is None and dtype.master_dtype.is_floating:
            initializer = tf.glorot_uniform_initializer()  # TensorFlow's default, but with a seed.
        replace = initial_values() if trainable else None
        if replace is not None:  # Also where no value is drawn: it checks its settings.
            initializer = replace(full_name, initializer, shape)
        if tf.get_collection(_RESTORED) and hasattr(initializer, "seed"):
            initializer = tf.zeros_initializer()
        else:
            initializer = _seeded(initializer, full_name)
        return stock_init(variable, mesh, name, shape, dtype, initializer, trainable, **kwargs)

    return init


def _seeded(initializer, full_name):
    if getattr(initializer, "seed", 0) is not None:
        return initializer
    initializer = copy.copy(initializer)
    initializer.seed = random_seed.stable_hash(random_seed.run_seed(), full_name)
    return initializer
