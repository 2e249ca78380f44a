"""The loss is float32 whatever the type of the activations."""

import types

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.runtime.patches import float32_loss
from tests.layers import helpers

VOCABULARY = 97


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


def loss_of(logits, targets):
    """Returns the loss of bfloat16 logits `[batch, length, vocab]`, and its type."""
    model, _ = helpers.golden_model("primer_ez")
    with helpers.bench() as b:
        tensor = mtf.cast(b.put(logits, "batch", "length", "vocab"), tf.bfloat16)
        context = helpers.layer_context(b, tensor)
        context.losses, context.num_microbatches = [], 1
        ids = b.put(targets, "batch", "length")
        loss = model._compute_loss(context, tensor, ids, tensor.shape.dims[-1])
        return b.run({"loss": mtf.to_float(loss)})["loss"], loss.dtype


def test_loss_of_bfloat16_logits_is_float32():
    """Against numpy to 5 digits; bfloat16 numbers near 5 are multiples of 0.03."""
    draw = np.random.default_rng(0)
    logits = draw.standard_normal([2, 64, VOCABULARY]).astype(tf.bfloat16.as_numpy_dtype)
    logits = logits.astype(np.float32)
    targets = draw.integers(1, VOCABULARY, [2, 64]).astype(np.int32)
    peak = logits.max(-1, keepdims=True)
    log_sum = peak[..., 0] + np.log(np.exp(logits - peak).sum(-1))
    of_targets = np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    loss, dtype = loss_of(logits, targets)
    assert dtype == tf.float32
    np.testing.assert_allclose(loss, (log_sum - of_targets).mean(), rtol=1e-5)
