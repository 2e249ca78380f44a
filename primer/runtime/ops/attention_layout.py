"""Attention with the dimensions that queries and keys share in front, where nothing trains.

Mesh-TF 0.1.21 has queries and keys as `[batch, length, heads, d_kv]` and logits as `[batch, length,
heads, memory_length]`: on a CPU, TensorFlow's product transposes these logits, the largest tensor
of a layer, and its product with the values does it again. In the order `[batch, heads, length,
...]` both are products of matrices, and what is transposed is d_kv wide. A tenth of an evaluation
goes by sooner. Training keeps Mesh-TF's order and with it the bits of its gradients. A TPU keeps
it too: XLA chooses the order itself.
"""

import functools

import mesh_tensorflow as mtf

from primer.common import build_mode


def patch(attention):
    """Lets `mesh_tensorflow.transformer.attention.attention` have the order."""
    attention.attention = _ordered(attention.attention)


def _ordered(stock):
    @functools.wraps(stock)
    def ordered(q, k, v, memory_length_dim, key_dim, value_dim, *args, **kwargs):
        tail = [memory_length_dim, key_dim]
        shared = [dim for dim in k.shape.dims if dim not in tail]
        own = [dim for dim in q.shape.dims if dim not in [*shared, key_dim]]
        # Two: heads that keys do not have. None: a single new token.
        if len(own) != 1 or not build_mode.is_forward() or build_mode.for_tpu():
            return stock(q, k, v, memory_length_dim, key_dim, value_dim, *args, **kwargs)
        outputs = stock(
            mtf.transpose(q, [*shared, *own, key_dim]),
            mtf.transpose(k, [*shared, *tail]),
            mtf.transpose(v, [*shared, memory_length_dim, value_dim]),
            memory_length_dim,
            key_dim,
            value_dim,
            *args,
            **kwargs,
        )
        return mtf.transpose(outputs, q.shape - key_dim + value_dim)

    return ordered
