"""The z-loss of attention: Mesh-TensorFlow's SelfAttention takes its coefficient and drops it.

ST-MoE (https://arxiv.org/abs/2202.08906), equation 5, on the logits of attention; training only.
"""

import copy

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def settings(context, coefficient, kwargs):
    """Returns the context and the keyword arguments for `attention.attention` with this z-loss.

    Args:
        context: a transformer.Context.
        coefficient: what the loss is multiplied by, or None for no loss.
        kwargs: as of SelfAttention.attention_kwargs_from_context.
    """
    if coefficient is None:
        return context, kwargs
    return _completed(context), {**kwargs, "z_loss_coeff": coefficient}


def _completed(context):
    """The context with what the computation of the loss takes for granted.

    It needs a sequence_id; and where d_model and heads are split over two dimensions of the mesh,
    attention reshapes the logits by the model's layout, and they would not fit the padding.
    """
    if not context.train:
        return context
    context = copy.copy(context)
    context.model = copy.copy(context.model)
    context.model.layout = None
    if not isinstance(context.sequence_id, mtf.Tensor):
        shape = mtf.Shape(context.batch_dims + [context.length_dim])
        context.sequence_id = mtf.ones(context.mesh, shape, dtype=tf.int32)
    return context
