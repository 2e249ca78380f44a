"""Drawn second experts: the distribution, and what no draw changes."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers import MixtureOfExperts
from primer.layers.experts import choices
from primer.layers.experts.gshard import sampling
from tests.layers import helpers
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import IDS, tight

P = np.array([0.2, 0.5, 0.25, 0.05], np.float32)
NUMBER = 4000


def drawn(gating, importance=None, train=True):
    """Returns index, gate and mask of both choices of NUMBER tokens with the distribution P."""
    with helpers.bench() as b:
        p = b.put(np.tile(P, [NUMBER, 1]), "batch", "experts")
        if importance is not None:
            importance = b.put(importance, "batch")
        made = choices.ranked(p, mtf.log(p), p.shape.dims[1], importance, gating, train)
        fields = ("index", "gate", "mask")
        values = b.run({(i, f): getattr(c, f) for i, c in enumerate(made) for f in fields})
    return [[values[i, f] for f in fields] for i in range(len(made))]


@pytest.mark.parametrize("gating", ["top_2", "top_n"])
def test_later_experts_follow_the_distribution_without_the_earlier_ones(gating):
    settings = dict(num_experts=4, num_experts_per_token=3, second_policy_train="sampling")
    first, second, *_ = found = drawn(MixtureOfExperts(gating=gating, **settings).gating)
    assert len(found) == (2 if gating == "top_2" else 3)
    np.testing.assert_array_equal(first[0], P.argmax())
    expected = np.where(np.arange(4) == P.argmax(), 0, P)
    expected /= expected.sum()
    np.testing.assert_allclose(np.bincount(second[0]) / NUMBER, expected, atol=0.03)
    # A draw changes the weights too: those of a token sum to 1.
    total = sum(P[index] for index, *_ in found)
    for index, gate, mask in found:
        np.testing.assert_allclose(gate, P[index] / total, rtol=1e-5)
        np.testing.assert_array_equal(mask, np.eye(4)[index])
    chosen = sum(mask for *_, mask in found)
    assert chosen.max() == 1.0  # No expert twice.


def test_padding_draws_nothing():
    gating = MixtureOfExperts(num_experts=4, second_policy_train="sampling").gating
    importance = np.arange(NUMBER, dtype=np.float32) % 2
    for _, gate, mask in drawn(gating, importance):
        assert not gate[importance == 0].any() and not mask[importance == 0].any()
        np.testing.assert_array_equal(mask[importance == 1].sum(-1), 1.0)


def test_evaluation_draws_nothing_by_default():
    gating = MixtureOfExperts(num_experts=4, second_policy_train="sampling").gating
    assert (drawn(gating, train=False)[1][0] == 2).all()


@pytest.mark.parametrize("gating", ["top_2", "two levels"])
def test_a_layer_that_draws_has_gradients(gating):
    layer = tight(gating, second_policy_train="sampling")
    values = experts_alone.run(layer, mode="train", sequence_id=IDS, gradients=True)
    assert all(np.isfinite(value).all() for value in values.values())
    routers = [value for key, value in values.items() if "gating/kernel" in key]
    assert routers and all(np.abs(value).max() > 0 for value in routers)


def test_a_draw_of_zero_is_finite_and_below_every_other():
    """Its logarithm is not; a uniform distribution in float32 draws 0, and then 2^-23 or more."""
    with helpers.bench() as b:
        logits = b.put(np.zeros(3, np.float32), "experts")
        uniform = b.put(np.array([0.0, 2**-23, 1 - 2**-23], np.float32), "experts")
        keys = b.run({"keys": sampling.noisy_logits(logits, uniform)})["keys"]
    assert np.isfinite(keys).all() and (np.diff(keys) > 0).all()
    np.testing.assert_allclose(keys[1:], -np.log(-np.log([2**-23, 1 - 2**-23])), rtol=1e-6)
