"""Padding takes no slot of an expert, and packed examples equal their segments."""

import numpy as np
import pytest

from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import IDS, TOKEN_CHOICE, X, tight


@pytest.mark.parametrize("gating", [*TOKEN_CHOICE, "expert_choice", "two levels"])
def test_padding_of_unpacked_examples_takes_no_slot(gating):
    """Without sequence ids the token ids mark padding; in Mesh-TF it takes slots from text."""
    lengths = np.array([[5], [12], [1], [8]])
    targets = np.where(np.arange(12) < lengths - 1, 9, 0)
    inputs = np.concatenate([np.zeros([4, 1], int), targets[:, :-1]], 1)
    real = np.arange(12) < lengths
    x = np.where(real[..., None], X, 3.0)
    by_ids = experts_alone.run(tight(gating), x=x, ids=inputs, mode="train", gradients=True)
    packed = experts_alone.run(tight(gating), x=x, sequence_id=real, mode="train", gradients=True)
    experts_alone.check_same(by_ids, packed, real, atol=0)
    blind = experts_alone.run(tight(gating), x=x, mode="train")
    assert np.abs(blind["y"] - packed["y"])[real].max() > 0.1


@pytest.mark.parametrize("gating", [*TOKEN_CHOICE, "two levels"])
def test_packed_examples_equal_their_segments(gating):
    """With slots for all tokens; outputs and gradients."""
    experts = tight(gating, capacity_factor_train=4.0, loss_coef=0.0)
    if gating == "two levels":
        experts.capacity_factor_second_level = 4.0
    settings = dict(mode="train", gradients=True)
    packed = experts_alone.run(experts, sequence_id=IDS, **settings)
    for part in (1, 2):
        only = (IDS == part).astype(int)
        alone = experts_alone.run(experts, sequence_id=only, **settings)
        np.testing.assert_allclose(packed["y"][only == 1], alone["y"][only == 1], rtol=0, atol=1e-5)
        packed = {k: v - alone[k] if k.startswith("grad/") else v for k, v in packed.items()}
    for key in [k for k in packed if k.startswith("grad/") and k != "grad/x"]:
        np.testing.assert_allclose(packed[key], 0, rtol=0, atol=1e-4, err_msg=key)
