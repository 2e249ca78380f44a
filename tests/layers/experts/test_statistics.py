"""Router statistics in the TensorBoard files of a training run."""

import numpy as np
import pytest

from primer import layers  # noqa: F401  (registers them with gin)
from tests.runtime import tiny

SETTINGS = [
    "MixtureOfExperts.num_experts = 4",
    "MixtureOfExperts.hidden_size = 16",
    "MixtureOfExperts.group_size = 32",
    "MixtureOfExperts2D.expert_x = 2",
    "MixtureOfExperts2D.expert_y = 3",
    "MixtureOfExperts2D.hidden_size = 16",
    "utils.run.train_steps = 2",
]
MICROBATCHES = "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 64"


def router(tmp_path, layer, scope, *bindings):
    """Returns the last values of a router's statistics, and its loads."""
    stack = f"make_layer_stack.layers = [@SelfAttention, @{layer}]"
    tiny.run(tmp_path, stack, *SETTINGS, *bindings)
    prefix = f"transformer/block_000/layer_001/{scope}/"
    found = {k[len(prefix) :]: v for k, v in tiny.scalars(tmp_path).items() if prefix in k}
    last = {k: v[max(v)] for k, v in found.items()}
    return last, [last[k] for k in sorted(last) if k.startswith("load/")]


@pytest.mark.parametrize(
    "gating, bindings",
    [("switch", []), ("switch", [MICROBATCHES]), ("top_2", []), ("expert_choice", [])],
)
def test_statistics_of_one_level(tmp_path, gating, bindings):
    scope = f"MoE1D/{'expert_selection' if gating == 'expert_choice' else gating}_router"
    values, loads = router(
        tmp_path, "MixtureOfExperts", scope, f'MixtureOfExperts.gating = "{gating}"', *bindings
    )
    assert set(values) == {f"load/expert_00{i}" for i in range(4)} | {
        "dropped_tokens",
        "entropy",
        "z_loss",
        "balance_loss",
    }
    np.testing.assert_allclose(sum(loads), 1.0, rtol=1e-5)
    assert 0.0 <= values["dropped_tokens"] < 1.0
    assert 0.0 < values["entropy"] <= np.log(4) + 1e-5
    # Initial logits are small: the z-loss is near log 4 squared, the balance loss near 1.
    assert 1.0 < values["z_loss"] < 5.0 and 0.5 < values["balance_loss"] < 3.0


def test_statistics_of_two_levels(tmp_path):
    values, loads = router(tmp_path, "MixtureOfExperts2D", "MoE2D/inner_router")
    assert len(loads) == 6 and "dropped_tokens" in values
    np.testing.assert_allclose(sum(loads), 1.0, rtol=1e-5)
