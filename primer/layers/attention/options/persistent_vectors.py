"""Persistent vectors: learned keys and values that every position sees, besides those of the text.

All-attention layers (https://arxiv.org/abs/1907.01470), section 4.2. With N vectors per head, keys
and values `[batch, memory_length, heads, d_kv]` become

    [sqrt(d_kv) M_k, keys], [sqrt(N) M_v, values]      [batch, N + memory_length, heads, d_kv]

The vectors have no position, belong to no text of a packed example, and are not in the cache of
decoding. M_k and M_v start with variances 1 / d_kv and 1 / N (section 5), so that the vectors are
as large as the projections of a normalized input.

With rotary positions, they are multiplied with the queries before rotation: the product with a
rotated query would depend on its place in the row, and so a packed text on what precedes it.
x-transformers multiplies rotated queries, as if all vectors were at position 0. Both products are
one, of the r channels that rotate, the others and the r before rotation:

    [rotated q, other q, q] with [rotated k, other k, 0] and [0, other M_k, M_k]
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import checks
from primer.layers import mesh_layout, variables

_KEY = "d_kv"


def check(num_vectors: int, layer: str = "MultiHeadAttention") -> None:
    """Checks the setting `num_persistent_vectors`.

    Args:
        num_vectors: the setting's value.
        layer: the name of the layer's class, for the message.

    Raises:
        ValueError: it is not a whole number of 0 or more.
    """
    setting = f"{layer}.num_persistent_vectors"
    checks.whole_number(setting, num_vectors, least=0, error=ValueError)


def with_unrotated(rotated: mtf.Tensor, q: mtf.Tensor, num_channels: int) -> mtf.Tensor:
    """Returns rotated queries with the channels before rotation, from which `extend` makes keys.

    Args:
        rotated: the queries `[batch, length, heads, d_kv]`, in any order.
        q: the same before rotation.
        num_channels: how many channels rotate, the first ones.
    """
    return mtf.concat([rotated, mtf.slice(q, 0, num_channels, _KEY)], _KEY)


def extend(
    context: transformer.Context,
    memory_heads_dims: list[mtf.Dimension],
    keys_values: list[mtf.Tensor],
    memory_dim: mtf.Dimension,
    bias: mtf.Tensor | None,
    num_vectors: int,
    num_unrotated: int = 0,
) -> tuple[list[mtf.Tensor], mtf.Dimension, mtf.Tensor | None]:
    """Puts a layer's persistent vectors before its keys and values.

    Creates the variables `persistent_keys` and `persistent_values` `[heads, persistent, d_kv]`, or
    `persistent_keys_values` where keys and values are the same.

    Args:
        context: the layer's context.
        memory_heads_dims: the Dimensions of the heads of keys and values; may be empty.
        keys_values: [keys, values], or [keys that are also values]: Tensors `[batch, memory_length,
            heads, d_kv]`, in any order and with any further dimensions, such as blocks.
        memory_dim: the Dimension of the keys, under any name.
        bias: the bias of the logits, which is 0 for the vectors, or None.
        num_vectors: the number of vectors of a head; 0 changes nothing.
        num_unrotated: the channels that `with_unrotated` gave the queries; keys get as many, and
            are not values.

    Returns:
        The longer keys and values, the Dimension of the keys, and the longer bias.

    Raises:
        ValueError: the layout splits the Dimension of the keys over the mesh.
    """
    if not num_vectors:
        return keys_values, memory_dim, bias
    _check_whole(context, memory_dim)
    key_dim = next(d for d in keys_values[0].shape.dims if d.name == _KEY)
    names = ["persistent_keys", "persistent_values"]
    if len(keys_values) == 1:
        names = ["persistent_keys_values"]
    vectors_dim = mtf.Dimension("persistent", num_vectors)
    longer: list[mtf.Tensor] = []
    for name, size, x in zip(names, (key_dim.size, num_vectors), keys_values):
        dims = [*memory_heads_dims, vectors_dim, key_dim]
        initializer = tf.random_normal_initializer(stddev=size**-0.5)
        vectors = variables.get_variable(context, name, dims, initializer) * size**0.5
        if num_unrotated and not longer:
            x = mtf.pad(x, [0, num_unrotated], _KEY)
            vectors = _unrotated_last(vectors, num_unrotated)
        longer.append(_put_before(x, vectors, memory_dim, vectors_dim))
    if bias is not None and memory_dim in bias.shape.dims:
        bias = mtf.pad(bias, [num_vectors, 0], memory_dim.name)
    return longer, mtf.Dimension(memory_dim.name, num_vectors + memory_dim.size), bias


def _unrotated_last(vectors: mtf.Tensor, num_channels: int) -> mtf.Tensor:
    """Returns [0, other channels, those that rotate], which `with_unrotated` has for queries."""
    size = vectors.shape.get_dim_by_name(_KEY).size
    first = mtf.slice(vectors, 0, num_channels, _KEY)
    parts = [mtf.zeros_like(first), first]
    if num_channels < size:
        parts.insert(1, mtf.slice(vectors, num_channels, size - num_channels, _KEY))
    return mtf.concat(parts, _KEY)


def _put_before(
    x: mtf.Tensor, vectors: mtf.Tensor, memory_dim: mtf.Dimension, vectors_dim: mtf.Dimension
) -> mtf.Tensor:
    own = mtf.Dimension(memory_dim.name, vectors_dim.size)
    vectors = mtf.replace_dimensions(mtf.cast(vectors, x.dtype), vectors_dim, own)
    vectors = mtf.broadcast(vectors, [own if dim == memory_dim else dim for dim in x.shape.dims])
    return mtf.concat([vectors, x], memory_dim.name)


def _check_whole(context: transformer.Context, memory_dim: mtf.Dimension) -> None:
    splits = mesh_layout.num_splits(context.model, memory_dim)
    if splits > 1:
        raise ValueError(
            f"the layout splits {memory_dim.name} over {splits} processors of the mesh, and "
            "persistent vectors would lengthen one part; split batch, heads or length instead, or "
            "set num_persistent_vectors = 0"
        )
