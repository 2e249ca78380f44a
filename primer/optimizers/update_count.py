"""The number of updates that an optimizer has done, counted for each kind of it.

The global step is no such number: a run may change its optimizer when it resumes, accumulate the
gradients of several steps, or skip steps. Moments that start at zero have to be corrected by the
updates that they have had.
"""

import math

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.optimizers import optimizer_state

# (Mesh-TF graph, name of the count, operation that adds 1 or None once taken). TensorFlow does
# not try to write a collection with a tuple as key into checkpoints.
_INCREMENTS = ("primer/increments_of_update_counts",)


def updates_done(mesh: mtf.Mesh, kind: str) -> mtf.Tensor:
    """Returns the number of updates before this step, a float32 scalar (exact up to 2^24).

    Args:
        mesh: the mesh of the weights.
        kind: the name of the count: optimizers of one kind share theirs.
    """
    name = f"{kind}_updates"
    count = optimizer_state.state(mesh, name)
    counted = tf.get_collection_ref(_INCREMENTS)
    if (mesh.graph, name) not in [entry[:2] for entry in counted]:
        counted.append((mesh.graph, name, mtf.assign(count, count + 1.0)))
    return count


def increments(mesh: mtf.Mesh) -> list[mtf.Operation]:
    """Returns the operations that add 1 to the counts that this step reads, each only once."""
    counted = tf.get_collection_ref(_INCREMENTS)
    found = [operation for graph, _, operation in counted if graph is mesh.graph and operation]
    counted[:] = [(graph, name, None) for graph, name, _ in counted]
    return found


def one_minus_power(base: float, exponent: mtf.Tensor) -> mtf.Tensor:
    """Returns 1 - base^exponent, exact also where the power is almost 1.

    Args:
        base: from 0 to below 1.
        exponent: a scalar above 0.
    """
    if not base:
        return mtf.ones_like(exponent)
    return mtf.cwise(lambda x: -tf.math.expm1(x), [exponent * math.log(base)])
