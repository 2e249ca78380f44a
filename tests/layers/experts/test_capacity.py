"""Assignment of tokens to slots, case by case: 6 tokens, 3 experts, 2 slots each."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers import MixtureOfExperts
from primer.layers.experts import capacity, choices
from tests.layers import helpers

EXPERTS, GROUP, SLOTS = (
    mtf.Dimension(n, s) for n, s in (("experts", 3), ("group", 6), ("slots", 2))
)
# The best expert of each token, the next one, and the gate of the best.
FIRST, SECOND = [0, 0, 0, 1, 0, 2], [1, 1, 2, 0, 2, 1]
GATES = [0.5, 0.9, 0.7, 0.6, 0.8, 0.4]


def ranks(b, *indices, masks=None):
    gate = b.put(np.array(GATES, np.float32), "group")
    made = []
    for rank, index in enumerate(indices):
        index = b.put(np.array(index, np.int32), "group")
        mask = mtf.one_hot(index, EXPERTS, dtype=tf.float32)
        made.append(choices.Choice(index, gate / (rank + 1), mask))
    return made


def assign(function, *indices, single=False):
    """combine as `{(token, expert, slot): gate}`, and which tokens are routed."""
    with helpers.bench() as b:
        made = ranks(b, *indices)
        plan = function(made[0] if single else made, EXPERTS, GROUP, SLOTS, tf.float32)
        shape = mtf.Shape([GROUP, EXPERTS, SLOTS])
        values = b.run(
            {
                "combine": mtf.transpose(plan.combine, shape),
                "dispatch": mtf.transpose(plan.dispatch, shape),
                "routed": plan.routed,
            }
        )
    np.testing.assert_array_equal(values["dispatch"], values["combine"] != 0)
    entries = {
        tuple(map(int, i)): values["combine"][tuple(i)] for i in np.argwhere(values["combine"])
    }
    return {k: round(float(v), 4) for k, v in entries.items()}, values["routed"].tolist()


def test_in_order_the_earliest_tokens_get_the_slots():
    combine, routed = assign(capacity.in_order, FIRST)
    assert combine == {(0, 0, 0): 0.5, (1, 0, 1): 0.9, (3, 1, 0): 0.6, (5, 2, 0): 0.4}
    assert routed == [1, 1, 0, 1, 0, 1]


def test_second_choices_come_after_all_first_choices():
    combine, routed = assign(capacity.in_order, FIRST, SECOND)
    second = {(0, 1, 1): 0.25, (2, 2, 1): 0.35}
    first = {(0, 0, 0): 0.5, (1, 0, 1): 0.9, (3, 1, 0): 0.6, (5, 2, 0): 0.4}
    assert combine == {**first, **second}
    assert routed == [1, 1, 1, 1, 0, 1]


def test_next_best_gives_a_token_one_slot_of_the_first_expert_with_room():
    combine, routed = assign(capacity.next_best, FIRST, SECOND)
    first = {(0, 0, 0): 0.5, (1, 0, 1): 0.9, (3, 1, 0): 0.6, (5, 2, 0): 0.4}
    assert combine == {**first, (2, 2, 1): 0.35}
    assert routed == [1, 1, 1, 1, 0, 1]


def test_best_first_gives_the_slots_to_the_highest_gates():
    combine, routed = assign(capacity.best_first, FIRST, single=True)
    assert combine == {(1, 0, 0): 0.9, (4, 0, 1): 0.8, (3, 1, 0): 0.6, (5, 2, 0): 0.4}
    assert routed == [0, 1, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "factor, least, expected", [(1.0, 1, 25), (1.25, 1, 31), (0.01, 4, 4), (9.0, 1, 100)]
)
def test_capacity_is_a_share_of_the_group_within_bounds(factor, least, expected):
    gating = MixtureOfExperts(min_expert_capacity=least).gating
    group, experts = mtf.Dimension("group", 100), mtf.Dimension("experts", 4)
    dim = capacity.capacity_dim(group, experts, gating, factor)
    assert dim == mtf.Dimension("expert_capacity", expected)
