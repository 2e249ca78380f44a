"""The loss in float32, whatever the type of the activations.

Mesh-TF 0.1.21 computes it in the activations' type, where bfloat16 losses move in steps of 0.03.
"""

import functools

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


class _Float32Context:
    """A model's context whose activations are float32; everything else is the model's."""

    activation_dtype = tf.float32

    def __init__(self, context):
        self._context = context

    def __getattr__(self, name):
        return getattr(self._context, name)


def patch(transformer):
    """Lets the loss of `mesh_tensorflow.transformer.transformer` see float32 logits."""
    model = transformer.Unitransformer
    model._compute_loss = _float32_loss(model._compute_loss)


def _float32_loss(stock_loss):
    @functools.wraps(stock_loss)
    def compute_loss(model, context, logits, targets, output_vocab_dim):
        # Auxiliary losses of the layers are added to this one: they must have its type.
        context.losses[:] = [mtf.cast(loss, tf.float32) for loss in context.losses]
        logits = mtf.cast(logits, tf.float32)
        return stock_loss(model, _Float32Context(context), logits, targets, output_vocab_dim)

    return compute_loss
