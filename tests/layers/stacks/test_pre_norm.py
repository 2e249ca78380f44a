"""The stack that the others derive from: Mesh-TensorFlow's, without the layers of kind "none"."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer

from primer.layers import PreNormLayerStack, kind_pattern
from tests.layers import helpers
from tests.layers.stacks import stack_helpers
from tests.layers.stacks.stack_helpers import Attention, FeedForward, rms


def test_equation():
    values = stack_helpers.run(
        stack_helpers.stack_of(PreNormLayerStack, [Attention(), FeedForward()])
    )
    x = stack_helpers.X
    middle = x + stack_helpers.attention(rms(x, values["layer_0/rms_norm/scale"]))
    last = middle + np.tanh(rms(middle, values["layer_1/rms_norm/scale"]))
    for name, expected in {
        "output 0": x,
        "output 1": middle,
        "output 2": rms(last, values["rms_norm/scale"]),
        "y": rms(last, values["rms_norm/scale"]),
    }.items():
        np.testing.assert_allclose(values[name], expected, rtol=0, atol=1e-5, err_msg=name)


def test_layers_of_kind_none_are_left_out_and_the_others_keep_their_names():
    layers = [Attention(), FeedForward(), kind_pattern.NoLayer(), FeedForward()]
    stack = stack_helpers.stack_of(PreNormLayerStack, layers)
    assert stack.layers == [layers[0], layers[1], layers[3]]
    assert stack.num_layers == 3
    values = stack_helpers.run(stack)
    assert {name for name in values if name.endswith("scale") and name[:2] != "d "} == {
        "layer_0/rms_norm/scale",
        "layer_1/rms_norm/scale",
        "layer_3/rms_norm/scale",
        "rms_norm/scale",
    }


def test_it_is_mesh_tensorflows_stack():
    """Equal values and gradients from equal variables; directories record it as LayerStack."""
    layers = [Attention(), FeedForward()]
    ours = stack_helpers.run(stack_helpers.stack_of(PreNormLayerStack, layers))
    theirs = stack_helpers.run(stack_helpers.stack_of(transformer.LayerStack, layers))
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)
    assert PreNormLayerStack.__name__ == "LayerStack"


def test_a_layer_that_changes_the_shape_raises_an_error():
    class Halve(transformer.TransformerLayer):
        def call(self, context, x):
            return mtf.slice(x, 0, 2, "d_model")

    layer = Halve()
    stack = PreNormLayerStack([layer], sublayers_per_layer=[transformer.sublayer_call_layer])
    with helpers.bench() as b:
        x = b.put(np.zeros([1, 4], np.float32), "length", "d_model")
        with pytest.raises(ValueError, match="Halve returned"):
            stack._layer_fn(x, layer, helpers.layer_context(b, x))
