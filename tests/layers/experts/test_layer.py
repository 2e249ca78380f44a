"""A layer of experts: models, gin, errors, parity with Mesh-TF's MoE1D, meshes."""

import functools

import gin
import numpy as np
import pytest
from mesh_tensorflow.transformer import moe, transformer, transformer_layers

from primer.layers import MixtureOfExperts, MixtureOfExperts2D
from tests import slow
from tests.layers import helpers, stepwise
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import (
    ARGMAX,
    IDS,
    THRESHOLD,
    TIGHT,
    X,
    check_parity,
    tight,
)


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


@pytest.mark.slow
@pytest.mark.parametrize("cls", [MixtureOfExperts, MixtureOfExperts2D])
def test_steps_equal_teacher_forcing(cls):
    """With prompts of different lengths, including none."""
    model = small_model((cls, {"hidden_size": 8, "use_bias": True}))
    targets = np.random.default_rng(0).integers(2, 97, [3, 4])
    variables = helpers.random_variables(model)
    expected = helpers.call(model, variables, targets, sequence_id=None, exact=True)["logits"]
    decoded = stepwise.decode(model, variables, targets, [0, 2, 3])
    steps = ~np.isnan(decoded[:, :, 0])
    np.testing.assert_allclose(decoded[steps], expected[steps], rtol=0, atol=1e-4)


def test_gin_binds_settings_and_variables_keep_their_names():
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


@pytest.mark.parametrize("cls", [MixtureOfExperts, MixtureOfExperts2D])
def test_ensembles_raise_an_error(cls):
    model = small_model((cls, {"hidden_size": 8}), ensemble=2)
    with pytest.raises(ValueError, match="Unitransformer.ensemble = 2: MixtureOfExperts"):
        helpers.random_variables(model)


def test_recomputed_gradients_of_mesh_tensorflows_stack_raise_an_error():
    """Mesh-TF raises "unusable input"."""
    model = small_model((MixtureOfExperts, {"hidden_size": 8}), stack={"recompute_grads": True})
    with pytest.raises(ValueError, match="LayerStack.recompute_grads = True"):
        helpers.call(model, None, np.ones([2, 4]), mode="train")


GATINGS = ["switch", "switch_max", "ntlb", "top_2", "top_n", "expert_choice"]


def one_level(gating, z_loss=None, **settings):
    """Returns our layer and Mesh-TF's with the same settings."""
    common = {**TIGHT, **ARGMAX, "num_experts": 4, "z_loss": z_loss, **settings}
    name = "expert_selection" if gating == "expert_choice" else gating
    return MixtureOfExperts(gating=gating, **common), moe.MoE1D(moe_gating=name, **common)


@pytest.mark.parametrize("gating", GATINGS)
def test_training_equals_mesh_tf(gating):
    """Outputs, losses and gradients, with a gated unit, z-loss and microbatches."""
    layers = one_level(gating, z_loss=0.1, activation=["gelu", "linear"])
    check_parity(*layers, mode="train", num_microbatches=2)


@pytest.mark.parametrize("gating", GATINGS)
def test_evaluation_with_capacity_equals_mesh_tf(gating):
    check_parity(*one_level(gating, capacity_factor_eval=1.0), mode="eval")


@pytest.mark.parametrize(
    "gating, settings",
    [
        ("top_2", THRESHOLD),
        ("top_n", THRESHOLD),
        ("top_2", {"second_policy_train": "none"}),
        ("top_2", {"use_second_place_loss": True}),
        ("ntlb", {"ntlb_top_k": 2}),
    ],
    ids=str,
)
def test_settings_equal_mesh_tf(gating, settings):
    check_parity(*one_level(gating, **settings), mode="train")


def test_outer_batch_equals_mesh_tf():
    x = np.random.default_rng(1).standard_normal([2, 4, 12, 8]).astype(np.float32)
    settings = dict(x=x, sequence_id=IDS, mode="train", gradients=True)
    ours, theirs = (experts_alone.run(layer, **settings) for layer in one_level("top_2"))
    experts_alone.check_same(ours, theirs, np.broadcast_to(IDS, [2, 4, 12]))


@pytest.mark.parametrize("gating", GATINGS)
def test_the_original_fails_on_unpacked_examples(gating):
    """Ours trains on them, with z-loss and without a number of microbatches."""
    ours, theirs = one_level(gating, z_loss=0.1)
    with pytest.raises((TypeError, ValueError, AttributeError)):
        experts_alone.run(theirs, mode="train")
    values = experts_alone.run(ours, mode="train", num_microbatches=None)
    assert values["y"].shape == X.shape and values["loss"] > 0


# The number of groups is the same on every mesh of this test.
GROUPS = {"group_size": 6}


MESHES = {
    "batch": ("rows:2", "batch:rows"),
    "batch and experts": ("rows:4", "batch:rows,experts:rows"),
    "and the hidden layer": (
        "rows:2,columns:2",
        "batch:rows,experts:rows,expert_hidden:columns,heads:columns,vocab:columns",
    ),
    "batch, experts elsewhere": ("rows:2,columns:2", "batch:rows,experts:columns"),
    "and the features": ("rows:2,columns:2", "batch:rows,experts:rows,d_model:columns"),
}


MESHES_OF = {
    "top_2": ["batch", "batch and experts", "and the hidden layer", "and the features"],
    "switch_max": ["and the hidden layer"],
    "expert_choice": ["and the hidden layer"],
}


@functools.cache
def one_device(gating, mode, exact=False):
    return run_on_mesh(gating, mode, exact)


def run_on_mesh(gating, mode, exact=False, mesh_shape="", layout=""):
    experts, x = tight(gating, **GROUPS), X[:, 5] if mode == "incremental" else X
    settings = dict(mode=mode, exact=exact, gradients=mode == "train")
    settings["sequence_id"] = IDS if mode == "train" else None
    return experts_alone.run(experts, x=x, mesh_shape=mesh_shape, layout=layout, **settings)


@pytest.mark.parametrize(
    "gating, mesh",
    slow.all_but(
        [("top_2", "batch and experts"), ("switch_max", "and the hidden layer")],
        [(gating, mesh) for gating, meshes in MESHES_OF.items() for mesh in meshes],
        name="-".join,
    ),
)
def test_training_on_a_mesh_equals_one_device(gating, mesh):
    """Outputs, losses and gradients, with dropped tokens and biases."""
    values = run_on_mesh(gating, "train", False, *MESHES[mesh])
    experts_alone.check_same(values, one_device(gating, "train"))


@pytest.mark.parametrize("mesh", MESHES)
def test_evaluation_without_dropping_on_a_mesh_equals_one_device(mesh):
    values = run_on_mesh("top_2", "eval", True, *MESHES[mesh])
    experts_alone.check_same(values, one_device("top_2", "eval", True))


def test_decoding_on_a_mesh_equals_one_device():
    values = run_on_mesh("top_2", "incremental", False, *MESHES["and the hidden layer"])
    experts_alone.check_same(values, one_device("top_2", "incremental"))
