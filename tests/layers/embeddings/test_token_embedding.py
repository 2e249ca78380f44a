"""Embeddings and logits equal the equations, and Mesh-TensorFlow's where the settings are its."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers import TokenEmbedding
from tests.layers import helpers, stepwise
from tests.layers.embeddings.embedding_helpers import bind, gradients, without_layers

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(2, 97, [4, 8]).astype(np.int32)
IDS = np.where(np.arange(8) < np.array([[3], [8], [1], [5]]), 1, 2)
ALL = (
    "tied_embeddings = False",
    "embedding_scale = 'sqrt'",
    "logit_scale = 0.5",
    "logit_cap = 2.0",
    "mask_vocabulary_padding = True",
)
KERNEL = "transformer/logits/kernel"
TABLE = "transformer/embedding"


def parts(**settings):
    """Returns embeddings and logits of one TokenEmbedding, its arrays, hidden states and ids."""
    hidden = RNG.standard_normal([2, 3, 16]).astype(np.float32)
    ids = np.array([[0, 4, 5], [1, 9, 2]], np.int32)
    variables = {"embedding": RNG.standard_normal([128, 16]).astype(np.float32)}
    if not settings.get("tied_embeddings", True):
        variables["logits/kernel"] = RNG.standard_normal([16, 128]).astype(np.float32)
    model = without_layers(d_model=16)
    with helpers.bench(variables=variables) as b:
        states = b.put(hidden, "batch", "length", "d_model")
        context = helpers.layer_context(b, states)
        context.model = model
        embedding = TokenEmbedding(
            b.mesh,
            model.input_vocab_dim,
            model.model_dim,
            mtf.VariableDType(tf.float32),
            "embedding",
            None,
            **settings,
        )
        outputs = {
            "x": embedding.ids_to_embedding(b.put(ids, "batch", "length"), context),
            "logits": embedding.hidden_to_logits(states, context),
        }
        found = b.run(outputs)
    return found, variables, hidden, ids


@pytest.mark.parametrize(
    "settings, embedding_factor, logit_factor",
    [
        ({}, 1.0, 0.25),
        ({"embedding_scale": "sqrt", "logit_scale": 1.0}, 4.0, 1.0),
        ({"embedding_scale": 0.5, "logit_scale": "sqrt"}, 0.5, 4.0),
        ({"logit_cap": 1.5}, 1.0, 0.25),
        ({"logit_scale": 1.0, "embedding_scale": 0.5}, 0.5, 1.0),
        ({"tied_embeddings": False}, 1.0, 1.0),
        ({"tied_embeddings": False, "logit_scale": "rsqrt"}, 1.0, 0.25),
        ({"tied_embeddings": False, "logit_scale": 2.0, "logit_cap": 5.0}, 1.0, 2.0),
        ({"output_multiplier": 3.0}, 1.0, 0.75),
        # A width of 4 times the base width: the roots are of a quarter of d_model.
        ({"width_multiplier": 1.0}, 1.0, 0.25),
        ({"width_multiplier": 4.0}, 1.0, 0.125),
        ({"width_multiplier": 4.0, "embedding_scale": "sqrt", "logit_scale": 1.0}, 2.0, 0.25),
        ({"width_multiplier": 4.0, "tied_embeddings": False}, 1.0, 0.25),
        ({"width_multiplier": 4.0, "output_multiplier": 2.0, "logit_scale": 3.0}, 1.0, 1.5),
    ],
)
def test_equations(settings, embedding_factor, logit_factor):
    found, variables, hidden, ids = parts(**settings)
    table = variables["embedding"]
    np.testing.assert_allclose(found["x"], embedding_factor * table[ids], rtol=1e-6)
    logits = logit_factor * hidden @ variables.get("logits/kernel", table.T)
    cap = settings.get("logit_cap")
    if cap:
        assert (np.abs(logits) > cap).any()
        logits = cap * np.tanh(logits / cap)
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-4, atol=1e-5)


def test_defaults_are_mesh_tensorflows_embedding():
    arrays, variables = helpers.golden("transformer_vanilla")
    bind()
    model = helpers.build_model("transformer_vanilla")
    found = helpers.call(model, variables, arrays["targets"])
    np.testing.assert_allclose(found["logits"], arrays["logits"], rtol=0, atol=1e-4)


def test_an_untied_output_is_mesh_tensorflows():
    plain = helpers.build_model(
        "transformer_vanilla", num_layers=1, model={"shared_embedding_and_softmax_weights": False}
    )
    variables = helpers.random_variables(plain)
    assert variables[KERNEL].shape == (32, 128)
    expected = helpers.call(plain, variables, TARGETS, gradients=True)
    bind("tied_embeddings = False")
    own = helpers.build_model("transformer_vanilla", num_layers=1)
    found = helpers.call(own, variables, TARGETS, gradients=True)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-5, err_msg=key)


def test_steps_equal_teacher_forcing():
    bind(*ALL)
    model = helpers.build_model("primer_ez", num_layers=1)
    variables = helpers.random_variables(model)
    expected = helpers.call(model, variables, TARGETS, sequence_id=None)["logits"]
    decoded = stepwise.decode(model, variables, TARGETS, [2, 3, 0, 5])
    steps = ~np.isnan(decoded[:, :, 0])
    np.testing.assert_allclose(decoded[steps], expected[steps], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    "mesh_shape, layout",
    [
        ("columns:4", "vocab:columns,heads:columns,d_ff:columns"),
        ("rows:2,columns:2", "d_model:rows,vocab:columns,heads:columns,d_ff:columns"),
    ],
)
def test_mesh_equals_one_device(mesh_shape, layout):
    bind(*ALL)
    model = helpers.build_model("transformer_vanilla", num_layers=1)
    variables = helpers.random_variables(model)
    settings = dict(mode="train", sequence_id=IDS, gradients=True)
    expected = helpers.call(model, variables, TARGETS, **settings)
    found = helpers.call(
        model, variables, TARGETS, mesh_shape=mesh_shape, layout=layout, **settings
    )
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4, err_msg=key)


def test_masked_padding_has_no_probability_and_no_gradient():
    model = without_layers()
    bind()
    variables = {TABLE: RNG.standard_normal([128, 32]).astype(np.float32)}
    logits = helpers.call(model, variables, TARGETS)["logits"][:, :, :97]
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    loss = -np.take_along_axis(log_p, TARGETS[:, :, None], -1).mean()
    bind("mask_vocabulary_padding = True")
    found = helpers.call(model, variables, TARGETS)
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-5)
    probabilities = np.exp(found["logits"] - found["logits"].max(-1, keepdims=True))
    assert not probabilities[:, :, 97:].any()
    gradient = gradients(model, variables, TARGETS)[TABLE]
    assert gradient[:97].all() and not gradient[97:].any()
    narrow = helpers.call(model, variables, TARGETS, dtype=tf.bfloat16)
    np.testing.assert_allclose(narrow["loss"], loss, rtol=0.02)


def test_an_ensemble_is_the_mean_of_its_members():
    bind(*ALL)
    model = helpers.build_model("transformer_vanilla", num_layers=1, model={"ensemble": 2})
    variables = helpers.random_variables(model)
    assert variables[KERNEL].shape == (2, 32, 128)
    logits = helpers.call(model, variables, TARGETS, sequence_id=None)["logits"]
    alone = helpers.build_model("transformer_vanilla", num_layers=1)
    members = []
    for number in range(2):
        own = {n: v[number] if len(v) == 2 else v for n, v in variables.items()}
        member = helpers.call(alone, own, TARGETS, sequence_id=None)["logits"]
        members.append(np.exp(member - member.max(-1, keepdims=True)))
        members[-1] /= members[-1].sum(-1, keepdims=True)
    expected = np.mean(members, 0)[:, :, :97]
    np.testing.assert_allclose(np.exp(logits[:, :, :97]), expected, rtol=1e-4)
    assert (np.exp(logits[:, :, 97:]) < 1e-19).all()


def test_gradients_may_be_recomputed():
    bind(*ALL)
    models = [
        helpers.build_model(
            "transformer_vanilla", num_layers=1, stack={"recompute_grads": recompute}
        )
        for recompute in (False, True)
    ]
    variables = helpers.random_variables(models[0])
    expected, found = (
        helpers.call(model, variables, TARGETS, mode="train", gradients=True) for model in models
    )
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def test_z_loss_is_part_of_the_training_loss_only():
    bind()
    variables = {TABLE: RNG.standard_normal([128, 32]).astype(np.float32)}
    logits = helpers.call(without_layers(), variables, TARGETS)["logits"]
    z_loss = (np.log(np.exp(logits).sum(-1)) ** 2).mean()
    losses = {
        (coefficient, mode): helpers.call(
            without_layers(z_loss=coefficient), variables, TARGETS, mode
        )["loss"]
        for coefficient in (0.0, 0.5)
        for mode in ("train", "eval")
    }
    assert losses[0.5, "eval"] == losses[0.0, "eval"]
    np.testing.assert_allclose(losses[0.5, "train"] - losses[0.0, "train"], 0.5 * z_loss, rtol=1e-5)


@pytest.mark.parametrize(
    "binding, message",
    [
        ("logit_cap = 0.0", "^TokenEmbedding.logit_cap = 0.0: expected a number above 0, or None"),
        ("logit_cap = -30", "^TokenEmbedding.logit_cap = -30"),
        ("logit_scale = 'root'", "^TokenEmbedding.logit_scale = 'root': expected .*rsqrt"),
        ("embedding_scale = 0", "^TokenEmbedding.embedding_scale = 0: expected .*sqrt"),
    ],
)
def test_invalid_settings(binding, message):
    bind(binding)
    with pytest.raises(ValueError, match=message):
        helpers.call(without_layers(), None, TARGETS)


@pytest.mark.parametrize(
    "binding", ["logit_cap = 30.0", "logit_scale = 0.5", "mask_vocabulary_padding = True"]
)
def test_mesh_tensorflows_untied_output_does_not_ignore_settings(binding):
    model = without_layers(shared_embedding_and_softmax_weights=False)
    bind("tied_embeddings = False")
    helpers.call(model, None, TARGETS)  # Nothing is ignored.
    bind(binding)
    name = binding.split()[0]
    with pytest.raises(ValueError, match=f"ignores {name}; set tied_embeddings = False instead"):
        helpers.call(model, None, TARGETS)


def test_smoothed_targets_need_probabilities():
    bind("mask_vocabulary_padding = True")
    with pytest.raises(ValueError, match="label_smoothing = 0.1: smoothing"):
        helpers.call(without_layers(label_smoothing=0.1), None, TARGETS)


def test_the_scales_of_vocab_embedding():
    import gin

    bind()
    gin.bind_parameter("VocabEmbedding.scale_variable_like_classifier_weights", True)
    variables = {TABLE: RNG.standard_normal([128, 32]).astype(np.float32)}
    found = helpers.call(without_layers(), variables, TARGETS)["logits"]
    gin.parse_config("get_vocab_embedding_cls.cls = @VocabEmbedding")
    expected = helpers.call(without_layers(), variables, TARGETS)["logits"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    bind("embedding_scale = 2.0")
    with pytest.raises(ValueError, match="and so do embedding_scale, logit_scale, output"):
        helpers.call(without_layers(), variables, TARGETS)
