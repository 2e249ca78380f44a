"""The loss is float32 whatever the type of the activations."""

import types

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.runtime.patches import float32_loss
from tests.layers import helpers


class Unitransformer:
    """A model whose loss is the sum of the logits and of the context's other losses."""

    def _compute_loss(self, context, logits, targets, output_vocab_dim):
        assert context.activation_dtype == logits.dtype == tf.float32
        return mtf.add_n([mtf.reduce_sum(logits), *context.losses]) * context.factor


def test_logits_and_auxiliary_losses_are_cast():
    float32_loss.patch(types.SimpleNamespace(Unitransformer=Unitransformer))
    with helpers.bench() as b:
        logits = mtf.cast(b.put(np.full([8], 1.0, np.float32), "vocab"), tf.bfloat16)
        # 8 + 1/128 is not a number of bfloat16.
        other = mtf.cast(b.put(np.full([1], 2.0**-7, np.float32), "one"), tf.bfloat16)
        context = types.SimpleNamespace(
            activation_dtype=tf.bfloat16, losses=[mtf.reduce_sum(other)], factor=2
        )
        loss = Unitransformer()._compute_loss(context, logits, None, None)
        assert loss.dtype == tf.float32
        assert b.run({"loss": loss})["loss"] == 2 * (8 + 2.0**-7)
