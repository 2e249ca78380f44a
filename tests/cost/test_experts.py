"""The share of a weight that a token uses."""

import types

import pytest

from primer.cost import experts
from tests.cost.graphs import shape

FLAT = types.SimpleNamespace(chosen_experts={("experts",): 2})
NESTED = types.SimpleNamespace(chosen_experts={("expert_x",): 2, ("expert_y", "expert_x"): 3})


@pytest.mark.parametrize(
    "layer, sizes, share",
    [
        (FLAT, dict(experts=8, d_model=5, d_ff=7), 2 / 8),
        (FLAT, dict(experts=1, d_model=5), 1.0),
        (FLAT, dict(d_model=5, expert_unsplit=8), None),
        (NESTED, dict(expert_x=4, d_model=5, expert_y_unsplit=6), 2 / 4),
        (NESTED, dict(expert_y=6, expert_x=4, d_model=5), 3 / 24),
        (None, dict(experts=8), None),
        (object(), dict(experts=8), None),
    ],
)
def test_the_share_is_that_of_the_chosen_experts(layer, sizes, share):
    assert experts.share_used(layer, shape(**sizes)) == share
