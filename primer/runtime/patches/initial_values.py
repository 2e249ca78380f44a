"""Mesh-TF 0.1.21: initial values depend on what else a graph holds, and no seed repeats them.

It leaves the seed of a variable's initializer to TensorFlow, which counts operations. With the
patch an initial value is a function of the run's seed and the variable's name, whatever else the
graph holds and however a mesh splits it.
"""

import contextlib
import copy
import functools
from collections.abc import Iterator
from types import ModuleType

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


def _seeded_variable_init(stock_init):
    """Gives a random initializer without a seed one from the run's seed and the variable's name."""

    @functools.wraps(stock_init)
    def init(variable, mesh, name, shape, dtype, initializer, *args, **kwargs):
        if tf.get_collection(_RESTORED) and hasattr(initializer, "seed"):
            initializer = tf.zeros_initializer()
        elif getattr(initializer, "seed", 0) is None:
            initializer = copy.copy(initializer)
            full_name = "/".join(filter(None, [tf.get_variable_scope().name, name]))
            initializer.seed = random_seed.stable_hash(random_seed.run_seed(), full_name)
        return stock_init(variable, mesh, name, shape, dtype, initializer, *args, **kwargs)

    return init
