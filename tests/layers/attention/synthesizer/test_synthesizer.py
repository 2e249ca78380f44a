"""The Synthesizer: parity, causality, settings, precision, meshes."""

import gin
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, transformer_layers

from primer.layers.attention.synthesizer import synthesizer
from primer.layers.attention.synthesizer.synthesizer import SynthesizerAttention
from tests.layers import helpers, single_layer
from tests.layers.attention.synthesizer.synthesizer_helpers import (
    IDS,
    TARGETS,
    X,
    build,
    layer,
    variables_of,
)

RNG = np.random.default_rng(0)
WORKING_IN_MESH_TF = [m for m in synthesizer.MODES if m not in ("factorized", "dense")]


@pytest.mark.parametrize(
    "name, activation", [("synthesizer", "relu"), ("synthesizer_squared_relu", "squared_relu")]
)
def test_parity_with_the_original(name, activation):
    """Logits, losses and gradients of the published model; its R has 512 positions."""
    golden, variables = helpers.golden(name)
    model = build(
        "random_plus",
        activation=activation,
        num_layers=2,
        num_heads=8,
        key_value_size=128,
        max_length=512,
    )
    values = helpers.call(model, variables, golden["targets"], mode="train", gradients=True)
    np.testing.assert_allclose(values["logits"], golden["logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(values["loss"], golden["train_loss"], rtol=1e-5)
    for key, norm in helpers.by_prefix(golden, "gradnorm/").items():
        np.testing.assert_allclose(values["gradnorm/" + key], norm, rtol=1e-3, err_msg=key)


@pytest.mark.parametrize("mode", WORKING_IN_MESH_TF)
def test_variants_that_work_in_mesh_tf_compute_the_same(mode):
    """Same variables and outputs; one segment per row, of different lengths."""
    ids = (np.arange(8) < np.array([[8], [5], [8], [1]])).astype(int)
    theirs = layer(mode, transformer_layers.Synthesizer)
    settings = (variables_of(mode, 512), X, ids)
    expected = single_layer.run(theirs, *settings)["y"]
    values = single_layer.run(layer(mode, max_length=512), *settings)["y"]
    np.testing.assert_allclose(values[ids > 0], expected[ids > 0], rtol=0, atol=1e-5)


def test_texts_longer_than_512():
    long, variables = layer("random", max_length=520), variables_of("random", 520)
    x = RNG.standard_normal([1, 520, 32])
    y = single_layer.run(long, variables, x)["y"]
    short = single_layer.run(long, variables, x[:, :8])["y"]
    np.testing.assert_allclose(y[:, :8], short, rtol=0, atol=1e-5)
    changed = {**variables, "R": variables["R"].copy()}
    changed["R"][519, :, 3] += 5
    after = single_layer.run(long, changed, x)["y"]
    np.testing.assert_array_equal(after[:, :519], y[:, :519])
    assert np.abs(after[:, 519] - y[:, 519]).max() > 1e-3


def test_a_text_beyond_max_length_raises_an_error():
    with pytest.raises(ValueError, match="SynthesizerAttention.max_length = 8 .* the text has 9"):
        single_layer.run(layer("random"), None, np.ones([1, 9, 32]))


@pytest.mark.parametrize("mode", ["random_plus_alpha", "dense", "factorized"])
def test_no_position_depends_on_later_ones(mode):
    single_layer.check_causal(layer(mode), variables_of(mode), X, 4)


@pytest.mark.parametrize(
    "mode, settings",
    [
        ("random_plus", {"shared_kv": True}),
        ("random_plus_alpha", {"num_memory_heads": 1}),
        ("random", {"num_memory_heads": 2}),
        ("dense", {"num_memory_heads": 2}),
        ("dense_plus", {"num_heads": 1}),
        ("random", {"num_heads": 1}),
        ("dense", {"combine_dims": False}),
        ("dense_minus", {"relative_attention_type": "contextual"}),
        ("factorized", {"factorized_dim": 3, "relative_attention_type": None}),
        ("random_plus", {"attention_kwargs": {"extra_logit": 0.0}}),
    ],
    ids=str,
)
def test_every_setting(mode, settings):
    made = layer(mode, **settings)
    variables = single_layer.random_variables(made)
    single_layer.check_decoding(made, variables, X[:2, :4], [1, 3])
    if "heads" in str(settings):
        single_layer.check_packing(made, variables, X[:2], IDS[:2])


@pytest.mark.parametrize("mode", ["random_plus_alpha", "dense"])
def test_bfloat16_is_close_to_float32(mode):
    settings = (layer(mode), variables_of(mode), X, IDS, "train", np.ones_like(X))
    exact = single_layer.run(*settings)
    values = single_layer.run(*settings, dtype=tf.bfloat16)
    for key, value in exact.items():
        error = np.abs(values[key] - value).max()
        assert error <= 0.05 * max(1.0, np.abs(value).max()), key


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"synthesize_mode": "plus"}, "synthesize_mode = 'plus': expected one of random, "),
        ({"max_length": 0}, "SynthesizerAttention.max_length = 0: expected a whole number"),
        ({"factorized_dim": 2.5}, "SynthesizerAttention.factorized_dim = 2.5: expected a whole"),
        ({"use_hyperprompt": True}, "a prompt has no position"),
        ({"attention_func": "hybrid"}, "SynthesizerAttention.attention_func = 'hybrid'"),
        ({"attention_kwargs": {"max_length": 9}}, "attention_kwargs has max_length"),
        ({"synthesize_mode": "dense", "shared_kv": True}, "shared_kv = True: .* has no keys"),
        (
            {"synthesize_mode": "random", "relative_attention_type": "contextual"},
            "relative_attention_type = 'contextual': .* has no queries",
        ),
        ({"num_memory_heads": 3}, "num_memory_heads = 3 must divide num_heads = 8"),
    ],
)
def test_invalid_settings_raise_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        SynthesizerAttention(**settings)


def test_gin_binds_settings_of_self_attention_and_its_own():
    gin.parse_config(
        [
            "SelfAttention.num_heads = 3",
            "SelfAttention.key_value_size = 16",
            "SynthesizerAttention.key_value_size = 4",
            "SynthesizerAttention.synthesize_mode = 'factorized'",
            "SynthesizerAttention.max_length = 1000",
        ]
    )
    made = SynthesizerAttention()
    assert (made.num_heads, made.key_value_size, made.max_length) == (3, 4, 1000)
    assert made.synthesize_mode == "factorized"


SPLIT_HEADS = "heads:columns,d_ff:columns,vocab:columns"


MESHES = {
    "batch": ("rows:2", "batch:rows"),
    "heads": ("columns:2", SPLIT_HEADS),
    "batch and heads": ("rows:2,columns:2", "batch:rows," + SPLIT_HEADS),
    "batch by 4": ("rows:4", "batch:rows"),
    "model in two dimensions": ("rows:2,columns:2", "d_model:rows," + SPLIT_HEADS),
    "length": ("rows:2", "length:rows"),
    "memory length": ("rows:2", "memory_length:rows"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode, mesh, ids",
    [("random_plus", mesh, IDS) for mesh in MESHES]
    + [("random_plus", mesh, None) for mesh in ("batch and heads", "length")]
    + [("dense", mesh, IDS) for mesh in ("batch and heads", "length")]
    + [("factorized", "batch and heads", IDS), ("dense_plus_alpha", "batch and heads", IDS)],
)
def test_mesh_equals_one_device(mode, mesh, ids):
    single_layer.check_mesh(layer(mode), variables_of(mode), X, ids, *MESHES[mesh])


def test_decoding_on_a_mesh():
    settings = (layer("dense_plus"), variables_of("dense_plus"), X[:2, :4], [2, 3])
    values = single_layer.decode(*settings, *MESHES["batch and heads"])
    np.testing.assert_allclose(values, single_layer.decode(*settings), rtol=0, atol=1e-4)


def test_an_ensemble_on_a_mesh_equals_one_device():
    variables, values = helpers.random_variables(build("random_plus", {"ensemble": 2})), []
    for mesh_shape, layout in (("", ""), ("rows:2", "ensemble:rows")):
        model = {"ensemble": 2, "layout": layout, "mesh_shape": mesh_shape}
        where = dict(mesh_shape=mesh_shape, layout=layout)
        settings = dict(mode="train", sequence_id=IDS[[0, 2]], gradients=True, **where)
        values.append(helpers.call(build("random_plus", model), variables, TARGETS, **settings))
    for key, value in values[0].items():
        np.testing.assert_allclose(values[1][key], value, rtol=1e-4, atol=1e-4, err_msg=key)


def test_an_outer_batch_changes_nothing():
    """Tensors `[outer_batch, batch, length]`, as Mesh-TF makes them when it splits a batch."""
    model, ids = build("random_plus"), IDS[[0, 2]]
    variables = helpers.random_variables(model)
    expected = helpers.call(model, variables, TARGETS, sequence_id=ids)["logits"]
    with helpers.bench(variables=variables) as b:
        names = ("outer_batch", "batch", "length")
        tokens, ids = (b.put(a[:, np.newaxis].astype(np.int32), *names) for a in (TARGETS, ids))
        inputs = transformer.autoregressive_inputs(tokens, ids)
        logits, _ = model.call_simple(inputs, tokens, False, mode="eval", sequence_id=ids)
        values = b.run({"logits": logits})["logits"]
    np.testing.assert_allclose(values[:, 0], expected, rtol=0, atol=1e-5)
