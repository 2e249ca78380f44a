"""The softmax of attention, with the parts that every kind of softmax attention may have.

    o = softmax(cap(q k) + bias) v,     [batch, length, heads, d_kv] out,

over any dimension of keys: the length of the text, that of a block, or the slots of a cache.
"""

import functools
from collections.abc import Callable
from typing import Any

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import attention, transformer

from primer.layers.attention import cached_position, z_loss
from primer.layers.attention.options import logit_cap, persistent_vectors
from primer.layers.attention.transformer_xl import settings as transformer_xl
from primer.layers.attention.windows import windowed_blocks


def attend(
    layer: Any,
    context: transformer.Context,
    params: attention.AttentionParams,
    q: mtf.Tensor,
    keys_values: list[mtf.Tensor],
    memory_dim: mtf.Dimension,
    bias: mtf.Tensor | None,
    blocks: windowed_blocks.Blocks | None = None,
) -> mtf.Tensor:
    """Attends from queries to keys.

    Args:
        layer: a MultiHeadAttention.
        context: a transformer.Context.
        params: the layer's projections.
        q: queries `[batch, length, heads, d_kv]`, without length in incremental mode; as
            `transform_heads` returns them, which may give them further channels.
        keys_values: keys and values `[batch, memory_dim, heads, d_kv]`, or what is both.
        memory_dim: the Dimension of the keys.
        bias: a Tensor to add to the logits, or None.
        blocks: the blocks of the length, where it is cut into blocks.

    Returns:
        A Tensor `[batch, length, heads, d_kv]`.
    """
    key_dim = q.shape.get_dim_by_name(layer.kv_dim.name)
    # Before the z-loss, whose context has no layout: extend reads it.
    keys_values, memory_dim, bias = persistent_vectors.extend(
        context,
        params.memory_heads_dims,
        keys_values,
        memory_dim,
        bias,
        layer.num_persistent_vectors,
        key_dim.size - layer.kv_dim.size,
    )
    context, kwargs = z_loss.attention_arguments(
        context, layer.z_loss_coeff, layer.attention_kwargs_from_context(context)
    )
    if blocks is not None:
        context, kwargs = windowed_blocks.attention_arguments(context, kwargs, blocks)
    shape = mtf.Shape([layer.kv_dim if dim == key_dim else dim for dim in q.shape.dims])
    if layer.positions in transformer_xl.OF_LOGITS:
        q, keys_values = _with_shared_dims_in_front(q, keys_values, memory_dim, layer.kv_dim)
    if context.mode == "incremental":
        q = cached_position.one_query(q, keys_values[0])
    o = _attention(layer)(
        q,
        keys_values[0],
        keys_values[-1],
        context=context,
        memory_length_dim=memory_dim,
        key_dim=key_dim,
        value_dim=layer.kv_dim,
        bias=bias,
        **kwargs,
    )
    o = cached_position.without_query(o)
    return o if o.shape == shape else mtf.transpose(o, shape)


def _with_shared_dims_in_front(
    q: mtf.Tensor,
    keys_values: list[mtf.Tensor],
    memory_dim: mtf.Dimension,
    key_dim: mtf.Dimension,
) -> tuple[mtf.Tensor, list[mtf.Tensor]]:
    """Returns queries and keys in an order in which the logits are as a bias of all dimensions.

    That is [batch, heads, length, memory_length]. In Mesh-TF's order TensorFlow would transpose
    the bias, and in the gradient once more.
    """
    k = keys_values[0]
    shared = [dim for dim in k.shape.dims if dim not in (memory_dim, key_dim)]
    own = [dim for dim in q.shape.dims if dim not in [*shared, key_dim]]
    q = mtf.transpose(q, [*shared, *own, key_dim])
    return q, [mtf.transpose(t, [*shared, memory_dim, key_dim]) for t in keys_values]


def _attention(layer: Any) -> Callable[..., mtf.Tensor]:
    """Returns Mesh-TensorFlow's attention, its "hybrid" one, or attention with a cap."""
    if layer.attention_func is not None:
        return layer.attention_fn
    return functools.partial(logit_cap.attend, logit_cap=layer.logit_cap)
