"""Attention whose logits are softly capped, before the bias that hides keys.

Gemma 2 (https://arxiv.org/abs/2408.00118), section 2. With cap c, queries q `[batch, length, heads,
d_kv]` and keys k, values v `[batch, memory_length, heads, d_kv]`:

    logits  = c tanh(q k^T / c) + bias      [batch, heads, length, memory_length]
    outputs = softmax(logits) v             [batch, length, heads, d_kv]

Without a cap, this is Mesh-TensorFlow's attention itself.
"""

from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention

from primer.common import checks
from primer.layers.attention import z_loss


def check(logit_cap: float | None, layer: str = "MultiHeadAttention") -> None:
    """Checks the setting of the slot attention_logit_cap.

    Args:
        logit_cap: the setting's value.
        layer: the name of the layer's class, for the message.

    Raises:
        ValueError: the cap is no number above 0.
    """
    if logit_cap is not None:
        checks.positive_number(
            f"{layer}.logit_cap",
            logit_cap,
            "a number above 0, or None for logits without a cap",
            ValueError,
        )


def attend(
    q: mtf.Tensor,
    k: mtf.Tensor,
    v: mtf.Tensor,
    memory_length_dim: mtf.Dimension,
    key_dim: mtf.Dimension,
    value_dim: mtf.Dimension,
    bias: mtf.Tensor | None = None,
    logit_cap: float | None = None,
    **kwargs: Any,
) -> mtf.Tensor:
    """Returns the outputs of attention, q's shape with value_dim in place of key_dim.

    Args:
        q: queries `[batch, length, heads, d_kv]`, without length in incremental mode.
        k: keys `[batch, memory_length, heads, d_kv]`.
        v: values `[batch, memory_length, heads, d_kv]`.
        memory_length_dim: the Dimension of the keys, under any name.
        key_dim: the Dimension d_kv of queries and keys.
        value_dim: the Dimension d_kv of values.
        bias: a Tensor that is added to the logits, or None.
        logit_cap: the cap of the logits, or None.
        **kwargs: as for `mesh_tensorflow.transformer.attention.attention`: dropout_rate,
            dropout_broadcast_dims, extra_logit, context, float32_logits, z_loss_coeff. The z-loss
            is that of the capped logits.
    """
    tensors = (q, k, v, memory_length_dim, key_dim, value_dim)
    if logit_cap is None:
        return attention.attention(*tensors, bias=bias, **kwargs)
    return _attend_capped(*tensors, bias, logit_cap, **kwargs)


def _attend_capped(
    q: mtf.Tensor,
    k: mtf.Tensor,
    v: mtf.Tensor,
    memory_length_dim: mtf.Dimension,
    key_dim: mtf.Dimension,
    value_dim: mtf.Dimension,
    bias: mtf.Tensor | None,
    cap: float,
    dropout_rate: float = 0.0,
    dropout_broadcast_dims: list[mtf.Dimension] | None = None,
    extra_logit: float | mtf.Tensor | None = None,
    context: Any = None,  # A transformer.Context.
    float32_logits: bool = True,
    z_loss_coeff: float | None = None,
) -> mtf.Tensor:
    """`attention.attention` with a cap, which that function has no place for."""
    shape = q.shape - key_dim + value_dim
    q, k, v, bias = attention.maybe_reshape_attention_input_for_2d_sharding(
        context, q, k, v, bias, [key_dim, value_dim]
    )
    if float32_logits:
        q, k = mtf.cast(q, tf.float32), mtf.cast(k, tf.float32)
    logits = _logits(q, k, memory_length_dim, key_dim, cap)  # [batch, heads, length, memory]
    if bias is not None:
        logits += mtf.cast(bias, logits.dtype)
    z_loss.add(context, logits, memory_length_dim, z_loss_coeff, v.dtype)
    weights = mtf.softmax(logits, memory_length_dim, extra_logit=extra_logit)
    weights = mtf.cast(weights, v.dtype)
    if dropout_rate:
        noise_shape = weights.shape - dropout_broadcast_dims
        weights = mtf.dropout(weights, context.train, 1.0 - dropout_rate, noise_shape=noise_shape)
    outputs = mtf.einsum([weights, v], q.shape - key_dim + value_dim)
    return mtf.reshape(outputs, shape)  # [batch, length, heads, d_kv]


def _logits(
    q: mtf.Tensor, k: mtf.Tensor, memory_dim: mtf.Dimension, key_dim: mtf.Dimension, cap: float
) -> mtf.Tensor:
    # In this order both products of attention are products of matrices: TensorFlow transposes
    # queries, keys and values, and not the logits, the largest tensor of a layer. A training step
    # of attention takes 60% of the time of Mesh-TF's order (two cores, 4 x 512 tokens, 8 heads of
    # 64).
    shared = [dim for dim in k.shape.dims if dim not in (memory_dim, key_dim)]
    own = [dim for dim in q.shape.dims if dim not in [*shared, key_dim]]
    # The cap divides the queries: they are smaller than the logits.
    logits = mtf.layers.us_einsum([q * (1.0 / cap), k], [*shared, *own, memory_dim])
    return _tanh(logits) * cap


def _tanh(x: mtf.Tensor) -> mtf.Tensor:
    """Returns tanh(x), with TensorFlow's gradient in one pass; Mesh-TF's takes three."""

    def gradient(op: mtf.Operation, dy: mtf.Tensor) -> list[mtf.Tensor]:
        inputs = [op.outputs[0], dy]
        return [mtf.cwise(lambda y, dy: tf.raw_ops.TanhGrad(y=y, dy=dy), inputs, name="tanh_grad")]

    return mtf.cwise(tf.tanh, [x], grad_function=gradient, name="tanh")
