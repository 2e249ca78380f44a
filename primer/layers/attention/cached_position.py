"""Writes one position of a key-value cache, instead of the whole cache.

Mesh-TensorFlow's attention computes cache * (1 - here) + x * here at every token, with the one-hot
`here` of the position: it reads and writes all positions of all layers for each new token. Here

    cache[..., position, :] = x      `[batch, heads, d_kv] -> [batch, heads, memory_length, d_kv]`

with the positions next to d_kv, so that the products of attention read the cache as it lies in
memory, without a transposition. A TPU keeps the one-hot form: XLA fuses it, and scatters serially.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import build_mode

_QUERY = mtf.Dimension("query", 1)  # The one position of the queries.


def ordered(x: mtf.Tensor, positions: mtf.Dimension) -> mtf.Tensor:
    """Returns keys or values in the order of a cache, `[batch, heads, memory_length, d_kv]`.

    Args:
        x: a Tensor `[batch, memory_length, heads, d_kv]`.
        positions: its Dimension of the positions, under any name.
    """
    return mtf.transpose(x, order(x.shape, positions))


def order(shape: mtf.Shape, positions: mtf.Dimension) -> mtf.Shape:
    """Returns the Shape of a cache whose dimensions are those of `shape` in any order."""
    *outer, channels = [dim for dim in shape.dims if dim != positions]
    return mtf.Shape([*outer, positions, channels])


def write(
    cache: mtf.Tensor,
    x: mtf.Tensor,
    position: mtf.Tensor,
    positions: mtf.Dimension,
    context: transformer.Context,
) -> mtf.Tensor:
    """Returns the cache with x at `position`; where that is outside of the cache, unchanged.

    Args:
        cache: a Tensor `[batch, heads, memory_length, d_kv]`, in the order of `ordered`.
        x: keys or values of one position, `[batch, heads, d_kv]` in any order.
        position: an int32 Tensor with dimensions of `cache` before the positions: `[batch]`, `[]`.
        positions: the Dimension of the cache's positions, under any name.
        context: the layer's context. With its attribute `owns_states` the cache may be
            overwritten: nothing else reads it, and each position is within it.
    """
    if build_mode.for_tpu():
        here = mtf.one_hot(position, positions, dtype=cache.dtype)  # [batch, memory_length]
        return mtf.add(cache * (1.0 - here), x * here, output_shape=cache.shape)
    *rows, channels = cache.shape - positions
    x = mtf.transpose(mtf.cast(x, cache.dtype), [*rows, channels])
    position = mtf.broadcast(position, rows)  # [batch, heads]
    # XLA has no operation that overwrites its operand; it finds out itself where it may.
    is_owned = getattr(context, "owns_states", False) and not build_mode.for_xla()
    return _Write(cache, x, position, positions, is_owned).outputs[0]


def one_query(q: mtf.Tensor, k: mtf.Tensor) -> mtf.Tensor:
    """Returns the queries of one position with a Dimension of size 1 for it, before the last.

    With it the products with keys and values are products of matrices. Without, the keys have all
    dimensions of the queries, and Mesh-TensorFlow multiplies component by component and sums:
    that writes, and reads again, as many numbers as the cache has.

    Args:
        q: queries `[batch, heads, d_kv]`; unchanged if they have a dimension that keys do not.
        k: keys `[batch, heads, memory_length, d_kv]`.
    """
    if any(dim not in k.shape.dims for dim in q.shape.dims):
        return q
    *rows, channels = q.shape.dims
    return mtf.reshape(q, [*rows, _QUERY, channels])


def without_query(x: mtf.Tensor) -> mtf.Tensor:
    """Returns a product of `one_query`'s result without the Dimension that it added, if any."""
    return mtf.reshape(x, x.shape - _QUERY) if _QUERY in x.shape.dims else x


def product(x: mtf.Tensor, cached: mtf.Tensor, shape: mtf.Shape) -> mtf.Tensor:
    """Returns the product of x and a cache as `mtf.einsum` does, of one position as of matrices.

    Args:
        x: weights `[batch, heads, memory_length]`; may lack batch, or have more dimensions.
        cached: values `[batch, heads, memory_length, d_kv]`.
        shape: the result's Shape, `[batch, heads, d_kv]`.
    """
    x = one_query(x, cached)
    if _QUERY not in x.shape.dims:
        return mtf.einsum([x, cached], shape)
    *rows, channels = shape.dims
    return mtf.reshape(mtf.einsum([x, cached], mtf.Shape([*rows, _QUERY, channels])), shape)


class _Write(mtf.Operation):
    """The operation of `write`, for graphs without gradients."""

    def __init__(self, cache, x, position, positions, is_owned):
        super().__init__([cache, x, position], name="write_position")
        self._positions, self._is_owned = positions, is_owned
        self._outputs = [mtf.Tensor(self, cache.shape, cache.dtype)]

    def gradient(self, grad_ys):
        raise NotImplementedError("a cache of decoding has no gradient")

    def lower(self, lowering):
        mesh_impl = lowering.mesh_impl(self)
        cache, x, place = (lowering.tensors[tensor] for tensor in self.inputs)
        axis = mesh_impl.tensor_dimension_to_mesh_axis(self._positions)
        if axis is None:
            write_slice = _write_owned if self._is_owned else _write_within
        else:
            share = self._positions.size // mesh_impl.shape[axis].size
            begin = mesh_impl.slicewise(lambda i: i * share, mesh_impl.laid_out_pcoord(axis))
            place = mesh_impl.slicewise(tf.subtract, place, begin)
            write_slice = _write_within
        written = mesh_impl.slicewise(write_slice, cache, x, place)
        lowering.set_tensor_lowering(self.outputs[0], written)


def _write_owned(cache, x, place):
    """Overwrites the memory of `cache`, which may be that of a variable."""
    index, x = _rows(cache, x, place)
    flat = tf.reshape(cache, [-1, cache.shape[-1]])
    return tf.reshape(tf.raw_ops.InplaceUpdate(x=flat, i=index, v=x), cache.shape)


def _write_within(cache, x, place):
    """Writes the places that `cache` has; in its memory where nothing else reads it."""
    size = cache.shape[-2]
    is_within = tf.logical_and(place >= 0, place < size)
    index, x = _rows(cache, x, tf.clip_by_value(place, 0, size - 1))
    flat = tf.reshape(cache, [-1, cache.shape[-1]])
    old = tf.gather(flat, index)
    x = tf.where(tf.reshape(is_within, [-1]), x, old)
    written = tf.tensor_scatter_nd_update(flat, index[:, None], x)
    return tf.reshape(written, cache.shape)


def _rows(cache, x, place):
    """The rows of d_kv that the places have in `cache` as `[rows, d_kv]`, and x as such rows."""
    size, channels = cache.shape[-2:]
    place = tf.reshape(place, [-1])
    index = tf.range(place.shape[0]) * size + place
    return index, tf.reshape(x, [-1, channels])
