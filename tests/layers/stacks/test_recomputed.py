"""What training recomputes: the same losses and gradients."""

import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer_layers

from primer import layers
from primer.layers.stacks import recomputed
from tests.layers import helpers

TARGETS = np.random.default_rng(0).integers(2, 97, [3, 8])
IDS = np.where(np.arange(8) < np.array([[3], [8], [5]]), 1, 2)
EXPERTS = {"hidden_size": 16, "num_experts": 2, "activation": "relu"}


def model_of(recompute, feed_forward, stack=layers.PreNormLayerStack, num_layers=2):
    """Returns a model with dropout everywhere, and relative biases that the layers share."""
    heads = {"num_heads": 4, "key_value_size": 8, "dropout_rate": 0.1}
    made = helpers.transformer.make_layer_stack(
        layers=[
            (transformer_layers.SelfAttention, {**heads, "relative_attention_type": "bias_shared"}),
            feed_forward,
        ],
        layer_stack_cls=lambda layers, **more: stack(
            layers,
            recompute=recompute,
            **helpers.sublayers(helpers.transformer.sublayer_true_layer_norm),
            **more,
        ),
        num_layers=num_layers,
    )
    sizes = dict(d_model=32, input_vocab_size=97, output_vocab_size=97, max_length=16)
    return helpers.transformer.Unitransformer(made, autoregressive=True, **sizes)


CASES = [
    ((transformer_layers.DenseReluDense, {"hidden_size": 64, "dropout_rate": 0.1}), "layers"),
    ((layers.MixtureOfExperts, EXPERTS), "blocks"),
]


@pytest.mark.parametrize("feed_forward, recompute", CASES, ids=["dense", "experts"])
def test_losses_and_gradients_are_those_without(feed_forward, recompute):
    """Draws of dropout, the experts' balance loss and shared tables included."""
    run = {"mode": "train", "sequence_id": IDS, "gradients": True}
    plain = model_of("none", feed_forward)
    variables = helpers.random_variables(plain)
    expected = helpers.call(plain, variables, TARGETS, **run)
    values = helpers.call(model_of(recompute, feed_forward), variables, TARGETS, **run)
    assert set(values) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(values[key], value, rtol=1e-5, atol=1e-5, err_msg=key)


def test_other_values_are_refused():
    assert recomputed.setting("none", True) == recomputed.LAYERS
    for value in (True, "layer"):
        with pytest.raises(ValueError, match='expected "none", "layers" or "blocks"'):
            recomputed.setting(value, False)
