"""Experts beside dense layers, in a model, through gin; what they refuse."""

import functools

import gin
import mesh_tensorflow as mtf
import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer, transformer_layers

from primer.layers import MixtureOfExperts, MixtureOfExperts2D
from tests.layers import helpers, stepwise
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import roomy, tight


@pytest.mark.parametrize("gating", ["top_2", "top_n", "two levels"])
def test_experts_alike_are_a_dense_layer(gating):
    """Gates add up to 1: it is DenseReluDense, with biases, which Mesh-TF's experts lack."""
    settings = {**roomy(gating), "activation": ["gelu", "linear"]}
    dense = transformer_layers.DenseReluDense(6, activation=["gelu", "linear"], use_bias=True)
    values = dict(values=experts_alone.draw_alike)
    expected = experts_alone.run(dense, **values)["y"]
    for exact in (True, False):
        y = experts_alone.run(tight(gating, **settings), exact=exact, **values)["y"]
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5)
    bare = experts_alone.run(tight(gating, **settings, use_bias=False), **values)
    assert np.abs(bare["y"] - expected).max() > 0.1


def test_dropout_is_for_training():
    ours, plain = tight("top_2", dropout_rate=0.5), tight("top_2")
    experts_alone.check_same(experts_alone.run(ours), experts_alone.run(plain), atol=0)
    trained = [experts_alone.run(each, mode="train")["y"] for each in (ours, plain)]
    assert np.abs(trained[0] - trained[1]).max() > 0.1


def test_activations_are_names_or_functions_of_mesh_tensors():
    names = experts_alone.run(tight("top_2", activation=["relu", "linear"]))
    functions = experts_alone.run(tight("top_2", activation=[lambda x: mtf.relu(x), None]))
    experts_alone.check_same(names, functions, atol=0)


def small_model(feed_forward, **settings):
    heads = {"num_heads": 2, "key_value_size": 8, "relative_attention_type": "bias_shared"}
    stack = transformer.make_layer_stack(
        layers=[(transformer_layers.SelfAttention, heads), feed_forward],
        layer_stack_cls=functools.partial(
            transformer.LayerStack,
            **helpers.sublayers(transformer.sublayer_true_layer_norm),
            **settings.pop("stack", {}),
        ),
        num_layers=1,
    )
    sizes = dict(d_model=16, input_vocab_size=97, output_vocab_size=97, max_length=16)
    return transformer.Unitransformer(stack, autoregressive=True, **sizes, **settings)


@pytest.mark.parametrize("cls", [MixtureOfExperts, MixtureOfExperts2D])
def test_steps_equal_teacher_forcing(cls):
    """With prompts of different lengths, among them none."""
    model = small_model((cls, {"hidden_size": 8, "use_bias": True}))
    targets = np.random.default_rng(0).integers(2, 97, [3, 4])
    variables = helpers.random_variables(model)
    expected = helpers.call(model, variables, targets, sequence_id=None, exact=True)["logits"]
    decoded = stepwise.decode(model, variables, targets, [0, 2, 3])
    steps = ~np.isnan(decoded[:, :, 0])
    np.testing.assert_allclose(decoded[steps], expected[steps], rtol=0, atol=1e-4)


def test_gin_gives_settings_and_the_class_keeps_the_variables_of_the_original():
    gin.parse_config(
        [
            "MixtureOfExperts.num_experts = 2",
            "MixtureOfExperts.hidden_size = 8",
            'MixtureOfExperts.gating = "switch"',
            "MixtureOfExperts2D.expert_x = 2",
        ]
    )
    values = helpers.random_variables(small_model(MixtureOfExperts))
    shapes = {k.split("MoE1D/")[1]: v.shape for k, v in values.items() if "MoE1D" in k}
    assert shapes == {
        "switch_gating/kernel": (16, 2),
        "wi/kernel": (2, 16, 8),
        "wo/kernel": (2, 8, 16),
    }
    assert MixtureOfExperts2D().x == 2 and MixtureOfExperts2D.__name__ == "MoE2D"


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"gating": "x"}, "MixtureOfExperts.gating = 'x': expected one of 'switch', "),
        ({"second_policy_eval": "x"}, "MixtureOfExperts.second_policy_eval = 'x'"),
        ({"second_policy_train": "x"}, "MixtureOfExperts.second_policy_train = 'x'"),
        ({"switch_policy_train": "x"}, "MixtureOfExperts.switch_policy_train = 'x'"),
        ({"switch_policy_eval": "x"}, "MixtureOfExperts.switch_policy_eval = 'x'"),
        ({"gating": "ntlb", "switch_policy_train": "sample"}, "'ntlb' ranks and draws nothing"),
        ({"gating": "top_n", "num_experts": 2}, "num_experts = 2 with 3 experts a token"),
        ({"num_experts": 0}, "MixtureOfExperts.num_experts = 0: expected a whole number"),
        ({"hidden_size": 1.5}, "MixtureOfExperts.hidden_size = 1.5: expected a whole number"),
        ({"group_size": 0}, "MixtureOfExperts.group_size = 0"),
        ({"dropout_rate": 1.0}, "MixtureOfExperts.dropout_rate = 1.0: expected a fraction"),
        ({"activation": "rely"}, "'rely' is not a function of mesh_tensorflow"),
        ({"capacity_factor_train": None}, "capacity_factor_train = None: training needs room"),
        ({"capacity_factor_train": 0.0}, "capacity_factor_train = 0.0: expected a number above 0"),
        ({"gating": "expert_choice", "capacity_factor_eval": None}, "tokens an expert chooses"),
    ],
    ids=str,
)
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MixtureOfExperts(**settings)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"expert_x": 1}, "MixtureOfExperts2D.expert_x = 1 with 2 experts a token"),
        ({"expert_y": 0}, "MixtureOfExperts2D.expert_y = 0"),
        ({"second_policy_eval": "x"}, "MixtureOfExperts2D.second_policy_eval = 'x'"),
    ],
    ids=str,
)
def test_settings_of_two_levels_without_meaning_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MixtureOfExperts2D(**settings)


@pytest.mark.parametrize("cls", [MixtureOfExperts, MixtureOfExperts2D])
def test_ensembles_are_refused(cls):
    model = small_model((cls, {"hidden_size": 8}), ensemble=2)
    with pytest.raises(ValueError, match="Unitransformer.ensemble = 2: MixtureOfExperts"):
        helpers.random_variables(model)


def test_recomputing_layers_is_refused():
    """In Mesh-TF: "unusable input"."""
    model = small_model((MixtureOfExperts, {"hidden_size": 8}), stack={"recompute_grads": True})
    with pytest.raises(ValueError, match="LayerStack.recompute_grads = True"):
        helpers.call(model, None, np.ones([2, 4]), mode="train")
