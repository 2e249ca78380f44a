"""The z-loss of attention: training only, with and without packed examples."""

import numpy as np
import pytest

from tests.layers import helpers

TARGETS = np.random.default_rng(0).integers(2, 97, [2, 8])


@pytest.mark.parametrize("packed", [True, False])
def test_z_loss_reaches_the_training_loss(packed):
    """The original ignores the setting; Mesh-TF's own loss fails on unpacked examples."""
    ids = np.ones_like(TARGETS) if packed else None
    losses = {}
    for coefficient in (None, 0.5):
        model, variables = helpers.golden_model(
            "primer_ez", attention={"z_loss_coeff": coefficient}
        )
        for mode in ("train", "eval"):
            values = helpers.call(model, variables, TARGETS, mode=mode, sequence_id=ids)
            losses[coefficient, mode] = values["loss"]
    assert losses[0.5, "train"] > losses[None, "train"] + 0.1
    assert losses[0.5, "eval"] == losses[None, "eval"]
