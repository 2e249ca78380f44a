"""The training loss of a model under all patches is float32, whatever the type of its logits."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from tests.layers import helpers

VOCABULARY = 97


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
