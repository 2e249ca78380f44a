"""The seed of a run, and the key that tells the random draws of one step from those of the next."""

import zlib

import gin
import tensorflow.compat.v1 as tf

# The graph collection that holds the scalar which changes with every run of the graph.
STEP_KEY = "primer_random_step"
# The attribute of a random Mesh-TF operation that repeats the draw of another one, as in the
# backward pass of a recomputed layer: (the other operation, the Mesh-TF tensor that it waits for).
COPY = "primer_copy_of"


@gin.configurable(module="primer")
def run_seed(seed: int = 0) -> int:
    """Returns the seed of a run: of initial values, data order, dropout and jitter.

    Args:
        seed: an integer; the same seed, data and settings give the same run.
    """
    return int(seed)


def stable_hash(*parts: object) -> int:
    """Returns a 31-bit hash that is the same in every process (`hash` of a str is not)."""
    return zlib.crc32("/".join(str(part) for part in parts).encode()) & 0x7FFFFFFF


def set_step_key(tensor: tf.Tensor) -> None:
    """Stores the scalar that changes with every run of the graph: the step, or a batch counter."""
    collection = tf.get_collection_ref(STEP_KEY)
    collection[:] = [tensor]


def step_key() -> tf.Tensor | int:
    """Returns the scalar of `set_step_key`, else the global step, else 0."""
    collection = tf.get_collection(STEP_KEY)
    if collection:
        return collection[0]
    step = tf.train.get_global_step()
    return 0 if step is None else step
