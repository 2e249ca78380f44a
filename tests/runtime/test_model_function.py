"""Which settings decide a model's function: every one that does changes its fingerprint."""

import pytest
from mesh_tensorflow.transformer import moe, transformer, utils

from primer.checkpoints.description import model_description
from primer.gin_config import gin_state
from primer.runtime import model_function
from tests import gin_models, slow

NORMS = [
    f"sublayer_{norm}.epsilon = 0.5"
    for norm in ("true_layer_norm", "primer_norm", "uncentered_primer_norm", "rms_norm")
]
# They change the training, its speed, the numbers behind the point, or nothing.
OTHER = [
    "dropout_rate = 0.3",
    "sublayer_dropout.dropout_rate = 0.4",
    "utils.run.learning_rate_schedule = 0.5",
    "utils.run.optimizer = @AdamWeightDecayOptimizer",
    "utils.run.batch_size = 3",
    "LayerStack.recompute_grads = True",
    "initializer_scale = 0.5",
    "precision.activation_dtype = 'bfloat16'",
    "Unitransformer.label_smoothing = 0.1",
    "Unitransformer.z_loss = 0.1",
    "MixtureOfExperts.capacity_factor_train = 3.0",
    "MixtureOfExperts.switch_jitter = 0.5",
    "max_length = 1024",
    "d_ff_gated = 17",
    "num_experts = 4",
]
SWITCH = ("primer", "switch")


def other_settings(architecture):
    """Returns OTHER without those that an architecture refuses, or that size its positions."""
    slots = gin_models.architecture_slots(architecture)
    left_out = {"Unitransformer.label_smoothing"} if slots["mask_vocabulary_padding"] else set()
    left_out |= {"max_length"} if slots["positions"] in ("learned", "sinusoid") else set()
    return [binding for binding in OTHER if binding.split(" = ")[0] not in left_out]


def function(composition, *bindings, **mesh):
    architecture, overlay = composition
    model = gin_models.build(gin_models.files(architecture, overlay=overlay), bindings, **mesh)
    return model_function.of_model(model, None, 32)


def fingerprint(composition, *bindings, **mesh):
    return function(composition, *bindings, **mesh).fingerprint()


@pytest.mark.parametrize(
    "composition",
    gin_models.as_params(
        gin_models.run_compositions(), lambda c: c in (SWITCH, ("transformer", None))
    ),
)
def test_what_decides_the_function_changes_the_fingerprint_and_nothing_else_does(composition):
    first = fingerprint(composition)
    assert fingerprint(composition, *other_settings(composition[0])) == first
    mesh = {"layout": "batch:batch,d_ff:model", "mesh_shape": "batch:2,model:2"}
    assert fingerprint(composition, **mesh) == first
    assert fingerprint(composition, *NORMS) != first
    assert fingerprint(composition, "positions = 'alibi'") != first


@pytest.mark.parametrize(
    "binding",
    slow.all_but(
        ["activation = ['gelu']", "capacity_factor_eval = 0.1"],
        [
            "activation = ['gelu']",
            "capacity_factor_eval = 0.1",
            "MixtureOfExperts.activation = 'gelu'",
            "MixtureOfExperts.min_expert_capacity = 1",
            "MixtureOfExperts.second_policy_eval = 'none'",
            "PrePostNormLayerStack.post_norm_layers = [@DenseReluDense]",
            "SelfAttention.fold_scaling_into_initializer = False",
            "VocabEmbedding.scale_variable_like_classifier_weights = True",
            "MDHA.kernel_size = 4",
        ],
    ),
)
def test_a_setting_that_decides_the_function(binding):
    assert fingerprint(SWITCH, binding) != fingerprint(SWITCH)


def test_the_difference_is_named():
    before, now = (function(SWITCH, *more).description for more in ([], NORMS))
    found = model_description.first_difference(before["configuration"], now["configuration"])
    assert found == "sublayer_primer_norm.epsilon 1e-06 -> 0.5"
    now = function(SWITCH, "MixtureOfExperts.activation = 'gelu'").description
    found = model_description.first_difference(before["wiring"], now["wiring"])
    assert found == "layers [7] experts activation ['squared_relu'] -> 'gelu'"


def test_an_argument_that_is_new_in_a_dict_is_a_difference():
    before = function(("transformer", None)).description["wiring"]
    bindings = ["SelfAttention.attention_kwargs = {'extra_logit': 0.0}"]
    now = function(("transformer", None), *bindings).description["wiring"]
    found = model_description.first_difference(before, now)
    assert found == "layers [0] attention_kwargs 0 -> 1 entries"


def test_a_function_in_another_scope_is_a_difference():
    norm = "deep/sublayer_true_layer_norm"
    bindings = [f"norm = @{norm}", f"{norm}.epsilon = 1.0"]
    before, now = (
        function(("transformer", None), *own).description["configuration"] for own in ([], bindings)
    )
    found = model_description.first_difference(before, now)
    assert found == "sublayer_true_layer_norm, scopes [0] '' -> 'deep'"


def test_the_forward_pass_leaves_gins_record_and_the_description_as_they_were():
    model = gin_models.build(gin_models.files("primer"))
    calls = {key: dict(values) for key, values in gin_state.recorded_calls().items()}
    first, second = (model_function.of_model(model, None, 32) for _ in range(2))
    assert first == second and gin_state.recorded_calls() == calls
    assert first.shapes["transformer/embedding"] == [128, 32] and first.caveats == []


def test_the_objects_of_mesh_tensorflows_own_experts_are_entered():
    def wiring(activation):
        layer = moe.MoE1D(num_experts=2, activation=activation)
        return model_description.describe_model(layer)

    assert wiring("relu") != wiring("gelu")


def test_an_encoder_and_its_decoder_are_both_described():
    layers = [
        "encoder/make_layer_stack.layers = [@SelfAttention, @DenseReluDense]",
        "decoder/make_layer_stack.layers = [@SelfAttention, @EncDecAttention, @DenseReluDense]",
    ]

    def fingerprint(*bindings):
        gin_models.parse(gin_models.files("transformer"), [*layers, *bindings])
        model = utils.build_model("bitransformer", 97, 97, "", "")
        assert isinstance(model, transformer.Bitransformer)
        return model_function.of_model(model, None, 16).fingerprint()

    first = fingerprint()
    assert fingerprint("encoder/SelfAttention.dropout_rate = 0.5") == first
    assert fingerprint("encoder/DenseReluDense.activation = 'gelu'") != first
    assert fingerprint("decoder/SelfAttention.key_value_size = 3") != first
    assert fingerprint("sublayer_true_layer_norm.epsilon = 0.5") != first


def test_experts_that_choose_tokens_have_a_caveat_and_a_mesh_its_splits():
    mesh = {"layout": "batch:batch", "mesh_shape": "batch:2"}
    found = function(SWITCH, "expert_gating = 'expert_choice'", **mesh)
    assert len(found.caveats) == 1 and found.splits == [1, 2]


@pytest.mark.parametrize("without", ["name", "vocabulary"])
def test_a_model_whose_cost_cannot_be_counted_has_none(without):
    model = gin_models.build(gin_models.files("transformer"))
    assert model_function.of_model(model, None, 32).cost is not None
    if without == "name":
        model.layer_stack._layers[0].set_name(None)
    else:
        model.output_vocab_size_unpadded = None
    assert model_function.of_model(model, None, 32).cost is None


def test_another_model_than_mesh_tensorflows_is_described_by_what_it_holds():
    model = type("Odd", (), {})()
    model.size = 3
    found = model_function.of_model(model, None, 32)
    assert found.description["wiring"] == {"model": "Odd", "settings": {"size": 3}}
    assert found.description["configuration"] == {} == found.shapes
