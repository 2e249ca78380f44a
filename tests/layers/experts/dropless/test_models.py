"""Models that train without capacity: recomputed gradients, microbatches, statistics."""

import numpy as np
import pytest

from primer.layers import MixtureOfExperts
from tests import slow
from tests.layers import helpers
from tests.layers.experts.test_layer import small_model
from tests.layers.experts.test_statistics import MICROBATCHES, router

NAIVE = {
    "hidden_size": 8,
    "use_bias": True,
    "gating": "naive",
    "num_experts_per_token": 2,
    "capacity_factor_train": None,
}
TARGETS = np.random.default_rng(0).integers(2, 97, [3, 8])


def test_recomputed_gradients_are_equal():
    recomputed, model = (
        small_model((MixtureOfExperts, NAIVE), stack={"recompute_grads": recompute})
        for recompute in (True, False)
    )
    variables = helpers.random_variables(model)
    expected = helpers.call(model, variables, TARGETS, mode="train", gradients=True)
    found = helpers.call(recomputed, variables, TARGETS, mode="train", gradients=True)
    assert any("naive_gating/bias" in key for key in expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def test_a_balance_loss_of_a_recomputed_layer_raises_an_error():
    settings = {**NAIVE, "balance_loss": "gshard"}
    model = small_model((MixtureOfExperts, settings), stack={"recompute_grads": True})
    with pytest.raises(ValueError, match="LayerStack.recompute_grads = True"):
        helpers.call(model, None, TARGETS, mode="train")


@pytest.mark.parametrize("loss", slow.all_but(["switch"], [None, "switch"]))
def test_statistics_of_a_run_with_microbatches(tmp_path, loss):
    """No token is dropped; the balance loss is there where one is chosen."""
    bindings = [
        "MixtureOfExperts.gating = 'naive'",
        "MixtureOfExperts.num_experts_per_token = 2",
        "MixtureOfExperts.capacity_factor_train = None",
        f"MixtureOfExperts.balance_loss = {loss!r}",
        MICROBATCHES,
    ]
    values, loads = router(tmp_path, "MixtureOfExperts", "MoE1D/naive_router", *bindings)
    assert len(loads) == 4 and values["dropped_tokens"] == 0.0
    np.testing.assert_allclose(sum(loads), 1.0, rtol=1e-5)
    assert 0.0 < values["entropy"] <= np.log(4) + 1e-5
    assert ("balance_loss" in values) == (loss is not None)
    if loss:
        assert 0.9 < values["balance_loss"] < 3.0
