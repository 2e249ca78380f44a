"""The z-loss of attention: training only, with and without packed examples."""

import numpy as np
import pytest

from primer.layers.attention import z_loss
from tests.layers import helpers, single_layer

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


@pytest.mark.parametrize("collects", [True, False])
def test_a_context_that_collects_no_losses_gets_none(collects):
    with helpers.bench() as b:
        x = b.put(np.zeros([2, 4, 8], np.float32), *single_layer.NAMES)
        context = single_layer.context_of(b, x, "train")
        context.losses = [] if collects else None
        z_loss.add(context, x, x.shape.dims[1], 0.5, x.dtype)
        loss = b.run({"z": context.losses[0]})["z"] if collects else None
    assert loss is None or loss == pytest.approx(0.5 * np.log(4) ** 2)
