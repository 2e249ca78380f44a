"""Mesh-TF 0.1.21 computes the loss in the type of the activations.

In bfloat16 a loss then changes in steps of 0.03. The patch computes it in float32.
"""

import functools
from types import ModuleType
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


class _Float32Context:
    """A context that has float32 activations, and all other attributes of a model's context."""

    activation_dtype = tf.float32

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def patch(transformer: ModuleType) -> None:
    """Patches `Unitransformer._compute_loss` of `mesh_tensorflow.transformer.transformer`."""
    model = transformer.Unitransformer
    model._compute_loss = _float32_loss(model._compute_loss)


def _float32_loss(stock_loss):
    @functools.wraps(stock_loss)
    def compute_loss(model, context, logits, targets, output_vocab_dim):
        # Mesh-TF adds the auxiliary losses of the layers to this one, so they must have its type.
        context.losses[:] = [mtf.cast(loss, tf.float32) for loss in context.losses]
        logits = mtf.cast(logits, tf.float32)
        return stock_loss(model, _Float32Context(context), logits, targets, output_vocab_dim)

    return compute_loss
