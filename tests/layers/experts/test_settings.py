"""Routing settings: invalid ones raise an error that names them."""

import pytest

from primer.layers import MixtureOfExperts, MixtureOfExperts2D


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"gating": "x"}, "MixtureOfExperts.gating = 'x': expected one of 'switch', "),
        ({"second_policy_eval": "x"}, "MixtureOfExperts.second_policy_eval = 'x'"),
        ({"second_policy_train": "x"}, "MixtureOfExperts.second_policy_train = 'x'"),
        ({"switch_policy_train": "x"}, "MixtureOfExperts.switch_policy_train = 'x'"),
        ({"switch_policy_eval": "x"}, "MixtureOfExperts.switch_policy_eval = 'x'"),
        (
            {"gating": "ntlb", "switch_policy_train": "sample"},
            "'ntlb' ranks experts and cannot sample",
        ),
        ({"gating": "top_n", "num_experts": 2}, "num_experts = 2 with 3 experts per token"),
        ({"num_experts": 0}, "MixtureOfExperts.num_experts = 0: expected a whole number"),
        ({"hidden_size": 1.5}, "MixtureOfExperts.hidden_size = 1.5: expected a whole number"),
        ({"group_size": 0}, "MixtureOfExperts.group_size = 0"),
        ({"dropout_rate": 1.0}, "MixtureOfExperts.dropout_rate = 1.0: expected a fraction"),
        ({"activation": "rely"}, "'rely' is not a function of mesh_tensorflow"),
        *(
            (
                {"gating": gating, "capacity_factor_train": None},
                f"capacity_factor_train = None: MixtureOfExperts.gating = '{gating}' assigns",
            )
            for gating in ("expert_choice", "switch_max", "ntlb")
        ),
        (
            {"gating": "naive", "num_experts_per_token": 17},
            "MixtureOfExperts.num_experts = 16 with 17 experts per token .*the slot expert_top_k",
        ),
        ({"balance_loss": "x"}, "MixtureOfExperts.balance_loss = 'x': expected one of 'none'"),
        (
            {"gating": "naive", "balance_loss": "importance_and_load"},
            "without the noise .* has no gradient, .* is 'naive'; expected 'importance'",
        ),
        (
            {"gating": "expert_choice", "balance_loss": "switch"},
            "balance_loss = 'switch': with .* the experts are balanced",
        ),
        ({"gating": "naive", "fastmoe_workers": 2}, "no other form of .*gating = 'naive'"),
        ({"fastmoe_workers": 3}, "fastmoe_workers = 3: expected a divisor of .*num_experts = 16"),
        ({"fastmoe_workers": 0}, "MixtureOfExperts.fastmoe_workers = 0: expected a whole number"),
        (
            {"gating": "switch", "fastmoe_workers": 2, "capacity_factor_train": None},
            "capacity_factor_train = None: FastMoE's SwitchGate .* needs a capacity",
        ),
        (
            {"fastmoe_workers": 1, "balance_loss": "switch"},
            "FastMoE's GShardGate .* has a loss of its own",
        ),
        ({"capacity_factor_train": 0.0}, "capacity_factor_train = 0.0: expected a number above 0"),
        (
            {"gating": "expert_choice", "capacity_factor_eval": None},
            "number of tokens an expert chooses",
        ),
    ],
    ids=str,
)
def test_invalid_settings_raise_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        MixtureOfExperts(**settings)


def test_two_levels_train_with_a_capacity():
    with pytest.raises(ValueError, match="2D.capacity_factor_train = None: training on two levels"):
        MixtureOfExperts2D(capacity_factor_train=None)
