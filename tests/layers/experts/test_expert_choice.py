"""Expert choice: affinities over the tokens of a group, and the plan made of them."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers.experts import expert_choice
from tests.layers import helpers

LOGITS = np.random.default_rng(0).standard_normal([5, 3]).astype(np.float32)
REAL = np.array([1, 1, 0, 1, 0], np.float32)


def oracle(real, slots):
    """p `[group, experts]` and combine `[group, experts]`, token by token."""
    p = np.where(real[:, None] > 0, np.exp(LOGITS), 0)
    p /= p.sum(0)
    taken = {(t, e) for e in range(3) for t in np.argsort(-p[:, e])[:slots] if real[t]}
    combine = np.zeros([5, 3])
    for t, e in taken:
        combine[t, e] = p[t, e] / sum(other == t for other, _ in taken)
    return p, combine


@pytest.mark.parametrize("slots", [2, 5])
@pytest.mark.parametrize("real", [None, REAL], ids=["all", "padded"])
def test_experts_take_the_tokens_of_highest_affinity(real, slots):
    """With 5 slots there are more of them than tokens that are not padding."""
    slots_dim = mtf.Dimension("expert_capacity", slots)
    with helpers.bench() as b:
        logits = b.put(LOGITS, "group", "experts")
        group, experts = logits.shape.dims
        importance = None if real is None else b.put(real, "group")
        p = expert_choice.affinities(logits, group, importance)
        plan = expert_choice.plan(p, experts, group, slots_dim, importance, tf.float32)
        combine = mtf.reduce_sum(plan.combine, output_shape=logits.shape)
        chosen = mtf.transpose(plan.chosen, logits.shape)
        values = b.run({"p": p, "combine": combine, "chosen": chosen, "routed": plan.routed})
    expected_p, expected = oracle(np.ones(5) if real is None else real, slots)
    np.testing.assert_allclose(values["p"], expected_p, atol=1e-6)
    np.testing.assert_allclose(values["combine"], expected, atol=1e-6)
    np.testing.assert_array_equal(values["chosen"], expected > 0)
    np.testing.assert_array_equal(values["routed"], (expected > 0).any(-1))
