"""Experts compute what Mesh-TF's MoE1D and MoE2D compute where these work, with its variables.

`test_parity` has the golden numbers of the original's Switch models.
"""

import numpy as np
import pytest
from mesh_tensorflow.transformer import moe

from primer.layers import MixtureOfExperts, MixtureOfExperts2D
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import ARGMAX, IDS, TIGHT, X

GATINGS = ["switch", "switch_max", "ntlb", "top_2", "top_n", "expert_choice"]
THRESHOLD = dict(
    second_policy_train="threshold",
    second_policy_eval="threshold",
    second_threshold_train=0.4,
    second_threshold_eval=0.2,
)


def one_level(gating, z_loss=None, **settings):
    """Our layer and Mesh-TF's with the same settings."""
    common = {**TIGHT, **ARGMAX, "num_experts": 4, "z_loss": z_loss, **settings}
    name = "expert_selection" if gating == "expert_choice" else gating
    return MixtureOfExperts(gating=gating, **common), moe.MoE1D(moe_gating=name, **common)


def check(ours, theirs, **settings):
    settings = dict(sequence_id=IDS, gradients=True, **settings)
    expected = experts_alone.run(theirs, **settings)
    if ours.gating.gating != "ntlb":
        # Some tokens are dropped, besides those of padding.
        assert (np.abs(expected["y"]).sum(-1) == 0).sum() > (IDS == 0).sum()
    experts_alone.check_same(experts_alone.run(ours, **settings), expected, IDS)


@pytest.mark.parametrize("gating", GATINGS)
def test_training(gating):
    """Outputs, losses and gradients, with a gated unit, z-loss and microbatches."""
    layers = one_level(gating, z_loss=0.1, activation=["gelu", "linear"])
    check(*layers, mode="train", num_microbatches=2)


@pytest.mark.parametrize("gating", GATINGS)
def test_evaluation_with_capacity(gating):
    check(*one_level(gating, capacity_factor_eval=1.0), mode="eval")


@pytest.mark.parametrize(
    "gating, settings",
    [
        ("top_2", THRESHOLD),
        ("top_n", THRESHOLD),
        ("top_2", {"second_policy_train": "none"}),
        ("top_2", {"use_second_place_loss": True}),
        ("ntlb", {"ntlb_top_k": 2}),
    ],
    ids=str,
)
def test_settings(gating, settings):
    check(*one_level(gating, **settings), mode="train")


def test_outer_batch():
    x = np.random.default_rng(1).standard_normal([2, 4, 12, 8]).astype(np.float32)
    settings = dict(x=x, sequence_id=IDS, mode="train", gradients=True)
    ours, theirs = (experts_alone.run(layer, **settings) for layer in one_level("top_2"))
    experts_alone.check_same(ours, theirs, np.broadcast_to(IDS, [2, 4, 12]))


@pytest.mark.parametrize(
    "mode, settings",
    [
        ("train", {"use_second_place_loss": True}),
        ("train", {**THRESHOLD, "group_size": 24}),
        ("eval", {"capacity_factor_eval": 1.0}),
    ],
    ids=str,
)
def test_two_levels(mode, settings):
    """Mesh-TF's MoE2D crashes for want of three settings, which it is given here."""
    sizes = {"hidden_size": 6, "expert_x": 3, "expert_y": 4, "group_size": 16}
    policies = {"second_policy_train": "all", "second_policy_eval": "all"}
    settings = {**sizes, **policies, **settings}
    theirs = moe.MoE2D(**settings)
    with pytest.raises(AttributeError, match="moe_min_expert_capacity"):
        experts_alone.run(theirs, sequence_id=IDS)
    theirs._hparams.moe_min_expert_capacity = 2
    theirs._hparams.moe_word_embed_mode = None
    theirs._hparams.moe_z_loss = 0.1
    ours = MixtureOfExperts2D(min_expert_capacity=2, z_loss=0.1, **settings)
    check(ours, theirs, mode=mode, num_microbatches=2)


@pytest.mark.parametrize("gating", GATINGS)
def test_the_original_fails_on_unpacked_examples(gating):
    """Ours takes them in training, with z-loss, and when the number of microbatches is unknown."""
    ours, theirs = one_level(gating, z_loss=0.1)
    with pytest.raises((TypeError, ValueError, AttributeError)):
        experts_alone.run(theirs, mode="train")
    values = experts_alone.run(ours, mode="train", num_microbatches=None)
    assert values["y"].shape == X.shape and values["loss"] > 0
