"""A rolling key-value cache of the last positions, for decoding with windowed attention.

Position t is stored in slot t mod n of n slots (dimension `window`), so that a new position
overwrites the one n before it, which a window of n keys no longer reaches (Longformer,
https://arxiv.org/abs/2004.05150). At position p, slot s holds

    position(s) = p - ((p - s) mod n),      negative where nothing was written yet.

`[batch, length, heads, d_kv] -> [batch, heads, window, d_kv]`. Positions are per row, `[batch]`.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers.attention import cached_position


def window_dim(radius: int, length_dim: mtf.Dimension) -> mtf.Dimension:
    """Returns the Dimension of the slots: as many as the window has keys, at most the length."""
    return mtf.Dimension("window", min(radius, length_dim.size))


def cached_positions(mesh: mtf.Mesh, position: mtf.Tensor, window: mtf.Dimension) -> mtf.Tensor:
    """Returns the position that each slot holds after `position` is written; negative for none.

    Args:
        mesh: a Mesh.
        position: an int32 Tensor `[batch]` (or a scalar), -1 or more.
        window: the Dimension of the slots.

    Returns:
        An int32 Tensor `[batch, window]`.
    """
    slot = mtf.range(mesh, window, tf.int32)  # [window]
    # position - slot is -n or more: adding n makes the dividend of mod nonnegative.
    age = mtf.mod(position - slot + window.size, window.size)  # [batch, window]
    return position - age


def cache_prompt(
    x: mtf.Tensor, length_dim: mtf.Dimension, end: mtf.Tensor, window: mtf.Dimension
) -> mtf.Tensor:
    """Returns the cache `[batch, heads, window, d_kv]` after positions 0 .. end - 1 of a prompt.

    Args:
        x: keys or values `[batch, length, heads, d_kv]`.
        length_dim: the Dimension of the positions.
        end: an int32 Tensor `[batch]`, the length of each row's prompt.
        window: the Dimension of the slots; slots that were not written are zero.
    """
    position = cached_positions(x.mesh, end - 1, window)  # [batch, window]
    dims = [window if dim == length_dim else dim for dim in x.shape.dims]
    shape = cached_position.order(mtf.Shape(dims), window)
    # gather multiplies by the one-hot of the position, which is zero for a negative one.
    return mtf.gather(x, position, length_dim, output_shape=shape)  # [batch, heads, window, d_kv]


def cache_position(
    cache: mtf.Tensor,
    x: mtf.Tensor,
    window: mtf.Dimension,
    context: transformer.Context,
) -> mtf.Tensor:
    """Returns the cache with x written into the slot of the context's position.

    Args:
        cache: a Tensor `[batch, heads, window, d_kv]`.
        x: keys or values `[batch, heads, d_kv]` of one position.
        window: the Dimension of the slots.
        context: the layer's context, whose position is an int32 Tensor `[batch]`.
    """
    slot = mtf.mod(context.position, window.size)
    return cached_position.write(cache, x, slot, window, context)
