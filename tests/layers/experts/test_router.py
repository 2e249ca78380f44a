"""The router: float32 probabilities, noise in training, z-loss and entropy."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers import MixtureOfExperts
from primer.layers.experts import router
from tests.layers import helpers
from tests.layers.experts import experts_alone
from tests.layers.experts.routing_oracle import EXPERTS, TOKENS, loss_of

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal([2, 5, 4]).astype(np.float32)
REAL = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 0]], np.float32)


@pytest.mark.parametrize("real", [None, REAL, 0 * REAL], ids=["all", "padded", "none"])
def test_z_loss_and_entropy_are_means_over_text(real):
    with helpers.bench() as b:
        logits = b.put(LOGITS, "batch", "group", "experts")
        mask = None if real is None else b.put(real, "batch", "group")
        values = b.run(
            {
                f.__name__: f(logits, logits.shape.dims[-1], mask)
                for f in (router.z_loss, router.entropy)
            }
        )
    kept = np.ones([2, 5]) if real is None else real
    total = np.exp(LOGITS).sum(-1)
    p = np.exp(LOGITS) / total[..., None]
    count = max(kept.sum(), 1)
    np.testing.assert_allclose(
        values["z_loss"], (np.log(total) ** 2 * kept).sum() / count, rtol=1e-5
    )
    entropy = -(p * np.log(p)).sum(-1)
    np.testing.assert_allclose(values["entropy"], (entropy * kept).sum() / count, rtol=1e-5)


@pytest.mark.parametrize("policy", ["argmax", "input_jitter", "input_dropout"])
def test_noise_is_for_training_only(policy):
    """Jitter is a factor from 1 - jitter to 1 + jitter; dropout keeps a scaled part."""
    layer = MixtureOfExperts(
        switch_policy_train=policy,
        switch_policy_eval=policy,
        switch_jitter=0.25,
        switch_dropout=0.5,
    )
    with helpers.bench() as b:
        x = b.put(np.ones([8, 64], np.float32), "batch", "d_model")
        values = b.run(
            {t: router.add_noise(x, layer.gating, t == "train") for t in ("train", "eval")}
        )
    np.testing.assert_array_equal(values["eval"], 1.0)
    if policy == "argmax":
        np.testing.assert_array_equal(values["train"], 1.0)
    elif policy == "input_jitter":
        assert 0.75 <= values["train"].min() < 0.85 and 1.15 < values["train"].max() <= 1.25
    else:
        assert set(np.unique(values["train"])) == {0.0, 2.0}


def test_logits_of_bfloat16_activations_are_float32():
    with helpers.bench() as b:
        x = mtf.cast(b.put(np.ones([2, 8], np.float32), "batch", "d_model"), tf.bfloat16)
        dtype = mtf.VariableDType(tf.float32, tf.float32, tf.bfloat16)
        experts = mtf.Dimension("experts", 4)
        logits = router.logits(x, experts, MixtureOfExperts().gating, False, dtype, "gating")
        assert logits.dtype == tf.float32
        assert {v.activation_dtype for v in b.graph.trainable_variables} == {tf.float32}


def test_logits_of_choices_are_those_of_the_chosen_routers():
    """Of 3 routers with 4 experts each; index -1 stands for no choice and gives zeros."""
    x, weights = (RNG.standard_normal(s).astype(np.float32) for s in ([5, 8], [3, 8, 4]))
    index = np.array([[0, 2], [1, -1], [2, 2], [-1, -1], [1, 0]], np.int32)
    with helpers.bench(variables={"inner/kernel": weights}) as b:
        sizes = mtf.Dimension("outer", 3), mtf.Dimension("experts", 4)
        dtype = mtf.VariableDType(tf.float32, tf.float32, tf.bfloat16)
        x_tokens, chosen = b.put(x, "tokens", "d_model"), b.put(index, "tokens", "choices")
        logits = router.logits_of_choices(x_tokens, chosen, *sizes, dtype, "inner")
        assert logits.shape.dimension_names == ["tokens", "choices", "experts"]
        y = b.run({"y": logits})["y"]
    expected = np.einsum("ti,tcio->tco", x, weights[index]) * (index >= 0)[..., None]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5)


def test_z_loss_of_a_layer():
    """ST-MoE's equation 5, where Mesh-TF's needs packed examples."""
    logits = TOKENS @ experts_alone.draw("switch_gating/kernel", [8, EXPERTS])
    z = (np.log(np.exp(logits).sum(-1)) ** 2).mean()
    difference = loss_of("switch", z_loss=0.5) - loss_of("switch")
    np.testing.assert_allclose(difference, 0.5 * z, rtol=1e-4)
