"""The stack with norms on both sides of a layer, against its equation."""

import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer

from primer.layers import SandwichNormLayerStack
from tests.layers.stacks import stack_helpers
from tests.layers.stacks.stack_helpers import Attention, FeedForward, rms


def test_equation():
    values = stack_helpers.run(
        stack_helpers.stack_of(SandwichNormLayerStack, [Attention(), FeedForward()])
    )
    before, after = (
        [values[f"layer_{i}/{scope}rms_norm/scale"] for i in (0, 1)] for scope in ("", "post_norm/")
    )
    x = stack_helpers.X
    middle = x + rms(stack_helpers.attention(rms(x, before[0])), after[0])
    last = middle + rms(np.tanh(rms(middle, before[1])), after[1])
    np.testing.assert_allclose(values["output 1"], middle, rtol=0, atol=1e-5)
    np.testing.assert_allclose(values["y"], rms(last, values["rms_norm/scale"]), rtol=0, atol=1e-5)


def test_a_norm_is_necessary():
    with pytest.raises(ValueError, match="SandwichNormLayerStack expects a norm before"):
        SandwichNormLayerStack([], sublayers_per_layer=[transformer.sublayer_call_layer])
