"""Linear attention over all positions, in chunks of the length: no `[length, length]` tensor.

For Q, K, v `[batch, length, heads, d_kv]` of `linear`, the weight of key s in the output at t is
w_ts = Q_t . K_s. Inside a chunk of c positions the weights are computed, `[batch, heads, c, c]`;
earlier chunks count through their sums of K v^T (Gated Linear Attention,
https://arxiv.org/abs/2312.06635, section 4, with factors that keep exponentials in range):

    y_t = (sum over s <= t in the chunk of w_ts v_s + Q_t S) / (the same with 1 for v)
    S   = sum over earlier chunks of K^T v,  in the text of t

K_s = exp(k_s - m_s) with the running maximum m of `_running_maximum`; products carry the factors
exp(m_s - m_t), which are 1 or less. Multiplications: length x (c + d_kv) x d_kv, and
(length / c)^2 x d_kv^2 for the sums over chunks, which stay the smaller part up to length = c^2.
"""

import math

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers import mesh_layout, positions
from primer.layers.attention.windows import windowed_blocks

# The exponent of what a query does not see, far below the keys.
HIDDEN = -1e9
SHORTEST = 64
# Denominators at or below this are sums of nothing.
_SMALLEST = 1e-18


class Chunks:
    """The chunks of a text."""

    def __init__(
        self,
        context: transformer.Context,
        key_dim: mtf.Dimension,
        chunk_length: int | None = None,
    ) -> None:
        """Chooses the chunks.

        Args:
            context: the layer's context.
            key_dim: the Dimension d_kv.
            chunk_length: positions per chunk; None chooses it.

        Raises:
            ValueError: the length is split over the mesh, and chunks do not divide a share.
        """
        self._context, self._key_dim = context, key_dim
        length_dim = context.length_dim
        splits = mesh_layout.num_splits(context.model, length_dim)
        if chunk_length is None:
            chunk_length = automatic_chunk_length(length_dim.size, splits)
        share = length_dim.size // splits
        if splits > 1 and share % chunk_length:
            raise ValueError(
                f"linear attention in chunks of {chunk_length}: the length {length_dim.size} is "
                f"split over {splits} processors of the mesh, and chunks must divide a share of "
                f"{share}; choose another length"
            )
        # A radius of 1 gives blocks without the ends of their neighbors.
        self._blocks = windowed_blocks.Blocks(length_dim, chunk_length, radius=1)

    def attend(self, q: mtf.Tensor, k: mtf.Tensor, v: mtf.Tensor) -> mtf.Tensor:
        """Returns the outputs `[batch, length, heads, d_value]`.

        Args:
            q: normalized queries `[batch, length, heads, d_kv]`, float32.
            k: the logarithms of keys `[batch, length, heads, d_kv]`, float32.
            v: values `[batch, length, heads, d_value]`, float32.
        """
        ids = self._segment_ids()
        top = _running_maximum(self._context, k, self._key_dim, ids)  # [batch, length, heads]
        split_queries, split_memory = self._blocks.split_queries, self._blocks.split_memory
        q = split_queries(q)  # [batch, chunks, c, heads, d_kv]
        k, v = split_memory(mtf.exp(k - top)), split_memory(v)
        tops, parts = (
            (split_queries(top), split_memory(top)),
            (split_queries(ids), split_memory(ids)),
        )
        weighted, total = self._inside(q, k, v, tops, parts)
        if self._blocks.blocks_dim.size > 1:
            earlier = self._earlier(q, k, v, tops, parts)
            weighted, total = weighted + earlier[0], total + earlier[1]
        return self._blocks.join(divide(weighted, total))

    def _inside(self, q, k, v, tops, parts):
        """Returns the weighted sum of the values, and the sum of the weights, inside the chunks."""
        query_dim, memory_dim = self._blocks.query_dim, self._blocks.memory_dim
        later = mtf.greater(
            mtf.range(q.mesh, memory_dim, tf.int32), mtf.range(q.mesh, query_dim, tf.int32)
        )
        unseen = mtf.logical_or(mtf.not_equal(*parts), later)  # [batch, chunks, c, c]
        pair = [query_dim, memory_dim]
        factor = _factor(tops[1], tops[0], unseen, pair)  # [batch, chunks, heads, c, c]
        rows = [dim for dim in q.shape.dims if dim not in (query_dim, self._key_dim)]
        # In this order, products of attention are products of matrices.
        weights = mtf.einsum([q, k], output_shape=[*rows, *pair]) * factor
        shape = q.shape - self._key_dim
        weighted = mtf.einsum([weights, v], output_shape=[*shape.dims, v.shape.dims[-1]])
        return weighted, mtf.reduce_sum(weights, output_shape=shape)

    def _earlier(self, q, k, v, tops, parts):
        """Returns the same two sums over earlier chunks."""
        chunks_dim = self._blocks.blocks_dim
        # [batch, chunks, heads], [batch, chunks]: of the last position of each chunk.
        top, part = self._last(tops[1]), self._last(parts[1])
        k *= _factor(tops[1], top, mtf.not_equal(parts[1], part))
        sum_dims = [dim for dim in k.shape.dims if dim != self._blocks.memory_dim]
        s = mtf.einsum([k, v], output_shape=[*sum_dims, v.shape.dims[-1]])
        z = mtf.reduce_sum(k, output_shape=sum_dims)  # [batch, chunks, heads, d_kv]
        # Of the end of the chunk before; 0, no part of a text, before the first one.
        top_before, part_before = (mtf.shift(t, 1, chunks_dim, wrap=False) for t in (top, part))
        s, z = self._sum_over_chunks([s, z], top, part, top_before, part_before)
        q *= _factor(top_before, tops[0], mtf.not_equal(part_before, parts[0]))
        weighted = mtf.einsum([q, s], reduced_dims=[self._key_dim])
        return weighted, mtf.einsum([q, z], reduced_dims=[self._key_dim])

    def _sum_over_chunks(self, sums, top, part, top_before, part_before):
        """Returns the sums over all chunks before each one, as seen from the chunk before it."""
        chunks_dim = self._blocks.blocks_dim
        other = mtf.Dimension("earlier_chunks", chunks_dim.size)
        *sums, top, part = (
            mtf.rename_dimension(t, chunks_dim.name, other.name) for t in (*sums, top, part)
        )
        mesh = top.mesh
        later = mtf.greater_equal(
            mtf.range(mesh, other, tf.int32), mtf.range(mesh, chunks_dim, tf.int32)
        )
        unseen = mtf.logical_or(mtf.not_equal(part_before, part), later)
        factor = _factor(top, top_before, unseen)  # [batch, chunks, earlier_chunks, heads]
        return [
            mtf.einsum(
                [factor, t], output_shape=[chunks_dim if d == other else d for d in t.shape.dims]
            )
            for t in sums
        ]

    def _last(self, x: mtf.Tensor) -> mtf.Tensor:
        memory_dim = self._blocks.memory_dim
        last = mtf.slice(x, memory_dim.size - 1, 1, memory_dim.name)
        return mtf.reshape(last, x.shape - memory_dim)

    def _segment_ids(self) -> mtf.Tensor:
        """Returns the segments from 1, `[batch, length]`; ones, `[length]`, where not packed."""
        ids = positions.segment_id(self._context)
        if ids is None:
            return mtf.ones(self._context.mesh, [self._context.length_dim], tf.int32)
        return ids + 1


def automatic_chunk_length(length: int, num_splits: int = 1) -> int:
    """Returns the positions per chunk.

    Args:
        length: the number of positions.
        num_splits: the number of processors over which the length is split; chunks divide a share.
    """
    share = length // num_splits
    count = max(1, share // max(SHORTEST, math.isqrt(length)))
    if num_splits > 1:
        while share % count:
            count -= 1
    return -(-share // count)


def divide(weighted: mtf.Tensor, total: mtf.Tensor) -> mtf.Tensor:
    """Returns weighted / total, 0 where there is nothing to sum; `total` lacks a dimension."""
    return weighted * mtf.reciprocal(mtf.maximum(total, _SMALLEST))


def hidden(condition: mtf.Tensor) -> mtf.Tensor:
    """Returns HIDDEN where a condition is true, and 0 elsewhere."""
    return mtf.cast(condition, tf.float32) * HIDDEN


def _factor(
    top: mtf.Tensor,
    at: mtf.Tensor,
    unseen: mtf.Tensor,
    last_dims: list[mtf.Dimension] | None = None,
) -> mtf.Tensor:
    """Returns exp(top - at), at most 1, and 0 where unseen; without gradients, as these have none.

    Args:
        top: the maximum that keys are divided by.
        at: the maximum that they are to be divided by, not smaller.
        unseen: a boolean Tensor.
        last_dims: the last dimensions of the result, or None for any order.
    """
    difference = top - at
    if last_dims:
        dims = [dim for dim in difference.shape.dims if dim not in last_dims]
        difference = mtf.transpose(difference, [*dims, *last_dims])
    return mtf.exp(mtf.add(difference, hidden(unseen), output_shape=difference.shape))


def _running_maximum(
    context: transformer.Context, k: mtf.Tensor, key_dim: mtf.Dimension, ids: mtf.Tensor
) -> mtf.Tensor:
    """Returns the largest entry of each head's keys so far in the text, without gradient.

    Args:
        context: the layer's context.
        k: the logarithms of keys `[batch, length, heads, d_kv]`.
        key_dim: the Dimension d_kv.
        ids: the segments, `[batch, length]` or `[length]`.

    Returns:
        A Tensor `[batch, length, heads]`.
    """
    tops = mtf.reduce_max(k, reduced_dim=key_dim)
    # Each processor needs the whole length; without d_kv it is small.
    length_dim = context.length_dim
    whole = mtf.Dimension("whole_length", length_dim.size)
    tops = mtf.replace_dimensions(tops, length_dim, whole)
    ids = mtf.broadcast(mtf.replace_dimensions(ids, length_dim, whole), tops.shape)
    axis = tops.shape.dims.index(whole)
    top = mtf.slicewise(
        lambda tops, ids: _scan_maximum(tops, ids, axis),
        [tops, ids],
        splittable_dims=[dim for dim in tops.shape.dims if dim != whole],
        grad_function=0,
        name="running_maximum",
    )
    return mtf.replace_dimensions(top, whole, length_dim)


def _scan_maximum(x: tf.Tensor, ids: tf.Tensor, axis: int) -> tf.Tensor:
    """Returns running maxima along an axis, which restart where ids change; segments are runs."""
    length = x.shape.as_list()[axis]

    def part(t: tf.Tensor, begin: int, size: int) -> tf.Tensor:
        return tf.split(t, [begin, size, length - begin - size], axis)[1]

    distance = 1
    while distance < length:  # After a step, x is the maximum over 2 * distance positions.
        rest = length - distance
        here, before = part(x, distance, rest), part(x, 0, rest)
        same = tf.equal(part(ids, distance, rest), part(ids, 0, rest))
        here = tf.where(same, tf.maximum(here, before), here)
        x = tf.concat([part(x, 0, distance), here], axis)
        distance *= 2
    return x
