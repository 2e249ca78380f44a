"""Routing settings: invalid ones raise an error that names them."""

import pytest

from primer.layers import MixtureOfExperts


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
        (
            {"capacity_factor_train": None},
            "capacity_factor_train = None: training needs a fixed number",
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
