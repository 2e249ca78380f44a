"""Gatings against the papers' definitions: unpacked and with padding."""

import numpy as np
import pytest

from primer.layers import MixtureOfExperts
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import ARGMAX, IDS, TIGHT
from tests.layers.experts.routing_oracle import EXPERTS, ROUTES, SIZE, TOKENS, reference


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("gating", ROUTES)
def test_routing(gating, padded):
    """With 1 and with 3 slots of each expert, for groups of 8 tokens."""
    ids = IDS if padded else None
    real = (IDS != 0 if padded else np.ones_like(IDS) != 0).reshape(-1, SIZE)
    for factor, capacity in ((0.5, 1), (1.5, 3)):
        settings = {**TIGHT, **ARGMAX, "capacity_factor_train": factor}
        layer = MixtureOfExperts(gating=gating, num_experts=EXPERTS, **settings)
        y = experts_alone.run(layer, sequence_id=ids, mode="train")["y"].reshape(TOKENS.shape)
        np.testing.assert_allclose(y, reference(gating, capacity, real), rtol=0, atol=1e-5)
