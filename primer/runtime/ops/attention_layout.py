"""Attention with the dimensions that queries and keys share in front.

Mesh-TF 0.1.21 has queries and keys as `[batch, length, heads, d_kv]` and logits as `[batch, length,
heads, memory_length]`. On a CPU, TensorFlow transposes these logits, the largest tensor of a layer,
in the product that makes them, in the product with the values and in the gradients of both. In the
order `[batch, heads, length, ...]` all six are products of matrices, and only tensors of width d_kv
are transposed. Biases are added up in that order too: the gradient of a bias of relative positions
is then the sum over the batch first, and only this sum is transposed. A TPU keeps Mesh-TF's order:
XLA chooses the order itself.
"""

import functools
from types import ModuleType

import mesh_tensorflow as mtf

from primer.common import build_mode


def patch(attention: ModuleType) -> None:
    """Replaces `mesh_tensorflow.transformer.attention.attention`."""
    attention.attention = _with_shared_dims_in_front(attention.attention)


def _with_shared_dims_in_front(stock):
    @functools.wraps(stock)
    def ordered(q, k, v, memory_length_dim, key_dim, value_dim, bias=None, *args, **kwargs):
        tail = [memory_length_dim, key_dim]
        shared = [dim for dim in k.shape.dims if dim not in tail]
        own = [dim for dim in q.shape.dims if dim not in [*shared, key_dim]]
        if not own or build_mode.for_tpu():  # No dimension of its own: a single new token.
            return stock(q, k, v, memory_length_dim, key_dim, value_dim, bias, *args, **kwargs)
        # Length comes first in q, and last in the biases of logits: behind further query heads.
        own = [*own[1:], own[0]]
        outputs = stock(
            mtf.transpose(q, [*shared, *own, key_dim]),
            mtf.transpose(k, [*shared, *tail]),
            mtf.transpose(v, [*shared, memory_length_dim, value_dim]),
            memory_length_dim,
            key_dim,
            value_dim,
            _added_up_in_order(bias, [*shared, *own, memory_length_dim]),
            *args,
            **kwargs,
        )
        return mtf.transpose(outputs, q.shape - key_dim + value_dim)

    return ordered


def _added_up_in_order(bias, dims):
    """Returns a bias with its dimensions in the order of `dims`, if it is a sum of two."""
    if bias is None or not isinstance(bias.operation, mtf.AddOperation):
        return bias
    return mtf.add(*bias.operation.inputs, output_shape=[d for d in dims if d in bias.shape.dims])
