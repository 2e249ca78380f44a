"""Choices of tokens: ranks, gates, importance, and the second policies."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers import MixtureOfExperts
from primer.layers.experts import choices
from tests.layers import helpers

P = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.0, 1.0, 0.0], [0.4, 0.35, 0.25]], np.float32)
IMPORTANCE = np.array([1.0, 0.5, 0.0, 1.0], np.float32)


def run(function):
    """A list of (index, gate, mask) from a function of p `[batch, experts]` and importance."""
    with helpers.bench() as b:
        p = b.put(P, "batch", "experts")
        made = function(p, p.shape.dims[1], b.put(IMPORTANCE, "batch"))
        fields = ("index", "gate", "mask")
        values = b.run({(i, f): getattr(c, f) for i, c in enumerate(made) for f in fields})
    return [tuple(values[i, f] for f in fields) for i in range(len(made))]


def test_best_experts_are_those_of_a_sort():
    """Distinct ones, even where p is zero."""
    made = run(lambda p, experts, importance: choices.best(p, experts, 3))
    order = np.argsort(-P, axis=-1, kind="stable")
    for rank, (index, gate, mask) in enumerate(made):
        np.testing.assert_array_equal(index, order[:, rank])
        np.testing.assert_allclose(np.maximum(gate, 0), np.take_along_axis(P, order, 1)[:, rank])
        np.testing.assert_array_equal(mask, np.eye(3)[order[:, rank]])


def test_importance_limits_the_ranks():
    """Padding chooses nothing; importance 0.5 chooses its best expert in the second rank."""
    made = run(lambda p, experts, importance: choices.best(p, experts, 2, importance))
    first, second = (mask for _, _, mask in made)
    np.testing.assert_array_equal(first, [[0, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(second, [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0]])


def test_normalized_gates_sum_to_one_over_the_ranks():
    made = run(lambda p, experts, _: choices.normalized(choices.best(p, experts, 2)))
    np.testing.assert_allclose(made[0][1] + np.maximum(made[1][1], 0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(made[0][1], [0.6 / 0.9, 0.5 / 0.8, 1.0, 0.4 / 0.75], rtol=1e-5)


@pytest.mark.parametrize(
    "policy, kept", [("all", [1, 1, 1, 1]), ("none", [0, 0, 0, 0]), ("threshold", [0, 1, 0, 1])]
)
def test_second_policies(policy, kept):
    """Normalized second gates are 1/3, 3/8, 0, 7/15; the threshold is 0.35."""
    gating = MixtureOfExperts(second_policy_eval=policy, second_threshold_eval=0.35).gating

    def ranked(p, experts, _):
        ranks = choices.ranked(p, mtf.log(p), experts, None, gating, train=False)
        return choices.apply_second_policy(ranks, gating, train=False)

    first, second = run(ranked)
    np.testing.assert_array_equal(first[2].sum(-1), 1)
    np.testing.assert_array_equal(second[2].sum(-1), kept)


def test_sampled_experts_follow_the_distribution():
    gating = MixtureOfExperts(gating="switch", switch_policy_train="sample").gating
    with helpers.bench() as b:
        p = b.put(np.tile(P[:1], [3000, 1]), "batch", "experts")
        (choice,) = choices.ranked(p, mtf.log(p), p.shape.dims[1], None, gating, train=True)
        values = b.run({"index": choice.index, "gate": choice.gate})
    np.testing.assert_allclose(np.bincount(values["index"]) / 3000, P[0], atol=0.05)
    np.testing.assert_allclose(values["gate"], P[0][values["index"]], rtol=1e-6)
