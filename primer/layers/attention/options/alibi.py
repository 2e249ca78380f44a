"""ALiBi: logits fall linearly with the distance, at another rate in each head; nothing is learned.

Attention with linear biases (https://arxiv.org/abs/2108.12409), section 3. To the logit of a query
at position p and a key at position s, head h of n adds

    -slope_h * |p - s|,     slope_h = 2^(-8 h / n),  h = 1 .. n

`[heads, length, memory_length]`. Where n is no power of two, the heads have the slopes of the next
lower power m, then every second slope of 2 m, as in the authors' code.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def slopes(num_heads: int) -> list[float]:
    """Returns the slope of each head."""
    lower = 1 << (num_heads.bit_length() - 1)
    found = _geometric(lower)
    return found + _geometric(2 * lower)[: 2 * (num_heads - lower) : 2]


def bias(
    mesh: mtf.Mesh,
    heads_dims: list[mtf.Dimension],
    position: mtf.Tensor,
    memory_position: mtf.Tensor,
    sees_later: bool = False,
) -> mtf.Tensor:
    """Returns the bias `[heads, ..., length, memory_length]`, float32.

    It stays float32: bfloat16 rounds a distance of 1001 to 1000. Add biases of another type to it
    after a cast to float32.

    Args:
        mesh: a Mesh.
        heads_dims: the Dimensions of the queries' heads, numbered in row-major order: `[heads]`;
            `[heads, query_heads]` for grouped queries; `[]` for one head.
        position: the positions of the queries, int32: `[length]`, `[batch, length]`; in incremental
            mode `[batch]`.
        memory_position: the positions of the keys, int32, with the dimension of the keys, and with
            those in which rows differ.
        sees_later: whether a position sees later ones, whose bias falls with the distance too;
            otherwise a mask hides them, and their bias rises.
    """
    shape = mtf.Shape(heads_dims)
    values = tf.reshape(tf.constant(slopes(shape.size), tf.float32), shape.to_integer_list)
    slope = mtf.import_tf_tensor(mesh, values, shape)  # [heads]
    # [length, memory_length], negative for earlier keys. The difference of integers is exact.
    offset = mtf.cast(memory_position - position, tf.float32)
    if sees_later:
        offset = -mtf.abs(offset)
    return mtf.multiply(slope, offset, output_shape=mtf.Shape(heads_dims + offset.shape.dims))


def _geometric(num_heads: int) -> list[float]:
    return [2.0 ** (-8.0 * (i + 1) / num_heads) for i in range(num_heads)]
