"""The post-norm stack against its equation."""

import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer

from primer.layers import PostNormLayerStack
from tests.layers import helpers
from tests.layers.stacks import stack_helpers
from tests.layers.stacks.stack_helpers import Attention, FeedForward, rms


def test_equation():
    values = stack_helpers.run(
        stack_helpers.stack_of(PostNormLayerStack, [Attention(), FeedForward()])
    )
    x = stack_helpers.X
    middle = rms(x + stack_helpers.attention(x), values["layer_0/rms_norm/scale"])
    last = rms(middle + np.tanh(middle), values["layer_1/rms_norm/scale"])
    np.testing.assert_allclose(values["output 1"], middle, rtol=0, atol=1e-5)
    np.testing.assert_allclose(values["y"], last, rtol=0, atol=1e-5)
    # No norm at the end.
    assert "rms_norm/scale" not in values


def test_padding_is_zero_before_each_layer_and_at_the_end():
    ids = np.array([[1, 1, 1, 0, 0], [1, 1, 2, 2, 0]])
    stack = stack_helpers.stack_of(PostNormLayerStack, [Attention(), FeedForward()])
    values = stack_helpers.run(stack, ids=ids)
    assert not values["y"][ids == 0].any()
    np.testing.assert_allclose(
        values["y"][ids > 0], stack_helpers.run(stack)["y"][ids > 0], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    "sublayers, message",
    [
        ([transformer.sublayer_call_layer], "PostNormLayerStack expects a norm before"),
        (None, "exactly one sublayer_call_layer"),
        (
            [transformer.sublayer_rms_norm, transformer.sublayer_call_layer],
            "exactly one sublayer_residual",
        ),
    ],
)
def test_sublayers_without_a_norm_a_call_or_a_residual_raise_errors(sublayers, message):
    settings = {**helpers.sublayers(None), "sublayers_per_layer": sublayers}
    with pytest.raises(ValueError, match=message):
        PostNormLayerStack([], **settings)
