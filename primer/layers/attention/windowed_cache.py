"""A memory of the last positions for decoding, whose size does not grow with the text.

Position t lies in slot t mod n of a ring of n slots, `window` for short: a new position takes the
place of the one n before it, which a window of n keys has just left behind. At position p slot s
therefore holds position p - ((p - s) mod n); below zero, nothing was written there yet. All is
counted row by row: `[batch]` positions may differ.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def ring_dim(radius, length_dim):
    """The Dimension of the slots: no more than there are positions."""
    return mtf.Dimension("window", min(radius, length_dim.size))


def held_positions(mesh, position, ring):
    """The position that each slot holds once `position` is written; negative if none.

    Args:
        mesh: a Mesh.
        position: an int32 Tensor `[batch]` (or without dimensions).
        ring: the Dimension of the slots.

    Returns:
        an int32 Tensor `[batch, window]`.
    """
    slot = mtf.range(mesh, ring, tf.int32)
    # + n keeps what mod is taken of positive: position is -1 at least, a slot n - 1 at most.
    return position - mtf.mod(position - slot + ring.size, ring.size)


def fill(x, length_dim, end, ring):
    """The ring after positions 0 .. end - 1 of x: `[batch, length, ...]` to `[batch, window, ...]`.

    `end` is an int32 Tensor `[batch]`. Slots not yet written are zero.
    """
    held = held_positions(x.mesh, end - 1, ring)
    # one_hot of a negative position, hence its row of the product, is zero.
    return mtf.gather(x, held, length_dim, output_shape=_replaced(x.shape, length_dim, ring))


def write(old, x, position, ring):
    """Puts x `[batch, ...]` in the slot of `position` of a ring `[batch, window, ...]`."""
    here = mtf.one_hot(mtf.mod(position, ring.size), ring, dtype=old.dtype)
    return old * (1.0 - here) + x * here


def _replaced(shape, old, new):
    return mtf.Shape([new if dim == old else dim for dim in shape.dims])
