"""The stack of parallel layers against its equation."""

import numpy as np
import pytest

from primer.layers import ParallelLayerStack
from primer.layers.kind_pattern import NoLayer
from primer.layers.stacks import parallel
from tests.layers.stacks import stack_helpers
from tests.layers.stacks.stack_helpers import Attention, FeedForward, rms

BLOCK = [Attention, FeedForward, FeedForward, Attention, FeedForward]


def expected(values):
    """The sums after every layer of BLOCK, and the output."""
    x = stack_helpers.X

    def branch(index, of_input):
        function = stack_helpers.attention if BLOCK[index] is Attention else np.tanh
        return function(rms(of_input, values[f"layer_{index}/rms_norm/scale"]))

    sums = [x]
    for index in (0, 1, 2):
        sums.append(sums[-1] + branch(index, x))
    second = sums[-1]
    for index in (3, 4):
        sums.append(sums[-1] + branch(index, second))
    return sums, rms(sums[-1], values["rms_norm/scale"])


def test_equation():
    stack = stack_helpers.stack_of(ParallelLayerStack, [cls() for cls in BLOCK])
    values = stack_helpers.run(stack)
    sums, y = expected(values)
    for index, total in enumerate(sums[:-1]):
        np.testing.assert_allclose(values[f"output {index}"], total, rtol=0, atol=1e-5)
    np.testing.assert_allclose(values["y"], y, rtol=0, atol=1e-5)
    # As in other stacks: the embeddings, every layer but the last, and the result.
    np.testing.assert_array_equal(values[f"output {len(BLOCK)}"], values["y"])


def test_recomputed_gradients_are_equal():
    plain, recomputed = (
        stack_helpers.run(
            stack_helpers.stack_of(
                ParallelLayerStack, [cls() for cls in BLOCK], recompute_grads=recompute
            )
        )
        for recompute in (False, True)
    )
    assert set(plain) == set(recomputed)
    for name, value in plain.items():
        np.testing.assert_allclose(recomputed[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "block, starts",
    [
        ([Attention, FeedForward], [True, False]),
        ([FeedForward, FeedForward, Attention], [True, False, True]),
        ([Attention, FeedForward] * 4, [True, False] * 4),
        # An attention layer of kind "none" begins a group, as it would if it were there.
        ([Attention, FeedForward, NoLayer, FeedForward], [True, False, True]),
        ([NoLayer, Attention, NoLayer], [True]),
        ([], []),
    ],
)
def test_groups(block, starts):
    assert parallel.first_of_group([cls() for cls in block]) == starts
    assert ParallelLayerStack([cls() for cls in block])._first_of_group == starts
