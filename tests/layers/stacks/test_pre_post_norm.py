"""The pre- and post-norm stack: the order of the sublayers for each class of layer."""

import gin
import numpy as np
import pytest
from mesh_tensorflow.transformer import moe, transformer, transformer_layers

from primer.layers import MDHA, PrePostNormLayerStack
from tests.layers import helpers

PRE = ["norm", "mask", "call", "dropout", "residual"]
POST = ["mask", "call", "norm", "dropout", "residual"]
SHORT = {
    "sublayer_true_layer_norm": "norm",
    "sublayer_mask_padding": "mask",
    "sublayer_call_layer": "call",
    "sublayer_dropout": "dropout",
    "sublayer_residual": "residual",
}


class OwnFeedForward(transformer_layers.DenseReluDense):
    """A feed-forward layer that a user wrote."""


class Identity(transformer.TransformerLayer):
    """A layer that is neither attention nor feed-forward."""

    def call(self, context, x):
        return x


def orders(block, **settings):
    """Returns the names of the sublayers that each layer of a block runs, in order."""
    stack = PrePostNormLayerStack(
        block, **helpers.sublayers(transformer.sublayer_true_layer_norm), **settings
    )
    found = []

    def record(sublayers, x, context):
        found.append([SHORT[s.__name__] for s in sublayers])
        return x

    stack._call_sublayers = record
    with helpers.bench() as b:
        x = b.put(np.zeros([1, 4], np.float32), "length", "d_model")
        for layer in block:
            stack._layer_fn(x, layer, helpers.layer_context(b, x))
    return found


def test_the_block_of_primer_has_the_original_wiring():
    block = [MDHA(), transformer_layers.DenseReluDense()] * 2
    assert orders(block) == [PRE, POST, PRE, POST]


def test_the_class_of_a_layer_decides_not_its_index():
    block = [
        transformer_layers.DenseReluDense(),
        MDHA(),
        transformer_layers.EncDecAttention(),
        OwnFeedForward(),
        moe.MoE1D(),
        Identity(),
        MDHA(),
    ]
    assert orders(block) == [POST, PRE, PRE, POST, POST, PRE, PRE]


def test_post_norm_layers_can_be_set():
    block = [MDHA(), Identity(), transformer_layers.DenseReluDense()]
    assert orders(block, post_norm_layers=[Identity]) == [PRE, POST, PRE]


def test_all_layers_can_have_their_norm_behind_them():
    """OLMo 2's order."""
    block = [MDHA(), Identity(), transformer_layers.DenseReluDense()]
    assert orders(block, post_norm_layers="all") == [POST, POST, POST]


@pytest.mark.parametrize("value", ["none", [transformer_layers.DenseReluDense, "all"]])
def test_post_norm_layers_are_classes(value):
    with pytest.raises(ValueError, match="PrePostNormLayerStack.post_norm_layers = "):
        orders([MDHA()], post_norm_layers=value)


@pytest.mark.parametrize(
    "sublayers, message",
    [
        ([transformer.sublayer_call_layer], "expects a norm before sublayer_call_layer"),
        ([transformer.sublayer_rms_norm], "exactly one sublayer_call_layer"),
        ([], "exactly one sublayer_call_layer"),
        (None, "exactly one sublayer_call_layer"),
    ],
)
def test_sublayers_without_a_norm_or_a_call_raise_errors(sublayers, message):
    with pytest.raises(ValueError, match=message):
        PrePostNormLayerStack([], sublayers_per_layer=sublayers)


def test_gin_binds_sublayers_of_layer_stack():
    gin.parse_config(
        """
        make_layer_stack.layers = [@transformer_layers.DenseReluDense]
        make_layer_stack.num_layers = 1
        make_layer_stack.layer_stack_cls = @PrePostNormLayerStack
        LayerStack.sublayers_per_layer = [
            @sublayer_primer_norm, @sublayer_mask_padding, @sublayer_call_layer,
            @sublayer_dropout, @sublayer_residual]
        """
    )
    stack = transformer.make_layer_stack()
    assert isinstance(stack, PrePostNormLayerStack)
    names = [s.__name__ for s in stack._sublayers_post_norm]
    assert names[:3] == ["sublayer_mask_padding", "sublayer_call_layer", "sublayer_primer_norm"]
