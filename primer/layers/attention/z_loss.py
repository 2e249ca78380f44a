"""The z-loss of attention, which Mesh-TensorFlow's SelfAttention accepts as a setting and ignores.

ST-MoE (https://arxiv.org/abs/2202.08906), equation 5, on the logits of attention
`[batch, length, heads, memory_length]`; in training only:

    loss = z_loss_coeff * mean over queries of (log sum over memory_length of exp(logits))^2
"""

import copy
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer


def attention_arguments(
    context: transformer.Context, coefficient: float | None, kwargs: dict[str, Any]
) -> tuple[transformer.Context, dict[str, Any]]:
    """Returns the context and keyword arguments that make `attention.attention` add the z-loss.

    Args:
        context: a transformer.Context.
        coefficient: the factor of the loss, or None for no loss.
        kwargs: the result of SelfAttention.attention_kwargs_from_context.
    """
    if coefficient is None:
        return context, kwargs
    return _with_loss_inputs(context), {**kwargs, "z_loss_coeff": coefficient}


def add(
    context: transformer.Context,
    logits: mtf.Tensor,
    memory_length_dim: mtf.Dimension,
    coefficient: float | None,
    dtype: tf.DType,
) -> None:
    """Adds the z-loss of logits to the context's losses in training, as Mesh-TF's attention does.

    Args:
        context: a transformer.Context; without losses nothing is added.
        logits: a Tensor `[batch, length, heads, memory_length]`.
        memory_length_dim: the Dimension of the keys.
        coefficient: the factor of the loss, or None for no loss.
        dtype: the type of the loss.
    """
    if coefficient is None or not context.train or context.losses is None:
        return
    loss = mtf.square(mtf.reduce_logsumexp(logits, memory_length_dim))  # [batch, length, heads]
    if isinstance(context.sequence_id, mtf.Tensor):
        loss *= mtf.cast(context.nonpadding, loss.dtype)
    loss = mtf.reduce_mean(loss) / (context.num_microbatches or 1)  # []
    mtf.scalar_summary("attention_z_loss", loss)
    context.losses.append(mtf.cast(loss * coefficient, dtype))


def _with_loss_inputs(context: transformer.Context) -> transformer.Context:
    """Returns the context with the inputs of Mesh-TensorFlow's z-loss.

    The loss needs a sequence_id, which unpacked examples lack. Where d_model and heads are split
    over two dimensions of the mesh, `attention.attention` reshapes the logits by the model's
    layout, and they would not match the padding mask; without a layout it keeps their shape.
    """
    if not context.train:
        return context
    context = copy.copy(context)
    context.model = copy.copy(context.model)
    context.model.layout = None
    if not isinstance(context.sequence_id, mtf.Tensor):
        shape = mtf.Shape(context.batch_dims + [context.length_dim])
        context.sequence_id = mtf.ones(context.mesh, shape, dtype=tf.int32)  # [batch, length]
    return context
