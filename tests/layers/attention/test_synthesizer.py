"""The Synthesizer: every variant against an oracle, in every mode, packed, on meshes."""

import functools

import gin
import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer_layers

from primer.layers.attention import synthesizer
from primer.layers.attention.synthesizer import SynthesizerAttention
from tests.layers import helpers, single_layer

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(2, 97, [2, 8])
X = RNG.standard_normal([4, 8, 32])
# Two or three parts a row, one of them of a single token, and padding.
IDS = np.array([[1] * 3 + [2] * 5, [1] * 6 + [0] * 2, [1] + [2] * 7, [1] * 2 + [2] * 3 + [3] * 3])
WORKING_IN_MESH_TF = [m for m in synthesizer.MODES if m not in ("factorized", "dense")]


def layer(mode, cls=SynthesizerAttention, **settings):
    settings = {
        "synthesize_mode": mode,
        "num_heads": 4,
        "key_value_size": 8,
        "relative_attention_type": "bias",
        **settings,
    }
    if cls is SynthesizerAttention:
        settings = {"max_length": 8, **settings}
    return cls(**settings)


@functools.cache
def variables_of(mode, max_length=8):
    return single_layer.random_variables(layer(mode, max_length=max_length))


def build(mode, model=None, stack=None, activation="relu", num_layers=1, **settings):
    parts = helpers.Architecture(attention=SynthesizerAttention, activation=activation)
    settings = {"synthesize_mode": mode, "max_length": 8, **settings}
    return helpers.build_model(
        parts, attention=settings, model=model, stack=stack, num_layers=num_layers
    )


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
def test_variants_that_work_in_mesh_tf_are_the_same(mode):
    """Same variables, same names, same outputs; one part a row, of different lengths."""
    ids = (np.arange(8) < np.array([[8], [5], [8], [1]])).astype(int)
    theirs = layer(mode, transformer_layers.Synthesizer)
    settings = (variables_of(mode, 512), X, ids)
    expected = single_layer.run(theirs, *settings)["y"]
    values = single_layer.run(layer(mode, max_length=512), *settings)["y"]
    np.testing.assert_allclose(values[ids > 0], expected[ids > 0], rtol=0, atol=1e-5)


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def paper(mode, x, v, length):
    """The paper's equations: x `[batch, length, d_model]`, v the variables, 4 heads of 8."""
    heads = {n: v[n].reshape(32, 4, 8) for n in ("q", "k", "v", "kv") if n in v}
    projections = {n: np.einsum("btd,dhe->bhte", x, w) for n, w in heads.items()}
    q = projections.get("q")
    if "R" in v:
        synthetic = v["R"][:length, :, :length].transpose(1, 0, 2)
    elif "R1" in v:
        synthetic = np.einsum("kht,khs->hts", v["R1"][..., :length], v["R2"][..., :length])
    elif mode == "dense":
        hidden = np.maximum(q + v["q_bias"][:, None, :], 0)
        synthetic = np.einsum("bhte,hes->bhts", hidden, v["pi/kernel"][..., :length])
        synthetic = synthetic + v["pi/bias"][:, None, :length]
    else:
        synthetic = np.maximum(q, 0) @ v["pi/kernel"][:, :length]
    logits = synthetic
    if "plus" in mode:
        product = q @ projections["k"].transpose(0, 1, 3, 2)
        share = 1 / (1 + np.exp(-v["alpha"])) if "alpha" in v else 0.5
        logits = (1 - share) * product + share * synthetic
        logits *= 1 if "alpha" in v else 2
    values = projections.get("v", projections.get("kv"))
    o = np.einsum("bhts,bhse->bthe", softmax(logits + 0 * values[..., :1]), values)
    return o.reshape(*x.shape[:2], 32) @ v["o"]


@pytest.mark.parametrize("mode", synthesizer.MODES)
def test_layer_computes_the_equations_of_the_paper(mode):
    """Nothing is hidden: every position sees all."""
    x = X[:2, :6]
    variables = {k: v for k, v in variables_of(mode).items() if "relative" not in k}
    with helpers.bench(variables=variables) as b:
        given = b.put(x.astype(np.float32), *single_layer.NAMES)
        context = single_layer.context_of(b, given)
        context.read_priority = None
        y = layer(mode, relative_attention_type=None).call(context, given)
        y = b.run({"y": y})["y"]
    np.testing.assert_allclose(y, paper(mode, x, variables, 6), rtol=0, atol=1e-5)


def test_factorized_logits_differ_from_position_to_position():
    """In Mesh-TF's, every position reads with the same logits."""
    x = np.ones([1, 8, 32]) * np.arange(8)[:, np.newaxis]
    x[:, -2:] = 100.0
    variables, last = variables_of("factorized", 512), {}
    for cls in (SynthesizerAttention, transformer_layers.Synthesizer):
        settings = {"max_length": 512} if cls is SynthesizerAttention else {}
        made = layer("factorized", cls, relative_attention_type="bias", **settings)
        with helpers.bench(variables=variables) as b:
            given = b.put(x.astype(np.float32), *single_layer.NAMES)
            context = single_layer.context_of(b, given)
            context.read_priority = None
            # All distances share a bias.
            context.position = mtf.zeros(b.mesh, [context.length_dim], tf.int32)
            last[cls] = b.run({"y": made.call(context, given)})["y"][0, -2:]
    ours, theirs = last.values()
    np.testing.assert_allclose(theirs[0], theirs[1], rtol=0, atol=1e-4)
    assert np.abs(ours[0] - ours[1]).max() > 0.1


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


def test_a_text_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="SynthesizerAttention.max_length = 8 .* the text has 9"):
        single_layer.run(layer("random"), None, np.ones([1, 9, 32]))


@pytest.mark.parametrize("mode", ["random_plus_alpha", "dense", "factorized"])
def test_no_position_sees_its_future(mode):
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


def test_each_row_has_its_own_dropout():
    """Logits of the random mode are the same for all rows; their noise is not."""
    x = np.tile(X[:1], [2, 1, 1])
    made, variables = layer("random", dropout_rate=0.5), variables_of("random")
    same = single_layer.run(made, variables, x)["y"]
    noisy = single_layer.run(made, variables, x, mode="train")["y"]
    np.testing.assert_array_equal(same[0], same[1])
    assert np.abs(noisy[0] - noisy[1]).max() > 0.01


@pytest.mark.parametrize("ids", [IDS, None], ids=["packed", "unpacked"])
@pytest.mark.parametrize("mode", ["random", "random_plus"])
def test_z_loss(mode, ids):
    """The squared logarithm of the softmax's denominator; in training only."""
    made, variables = layer(mode, z_loss_coeff=0.5), variables_of(mode)
    assert single_layer.run(made, variables, X, ids, "train")["loss"] > 0.1
    assert "loss" not in single_layer.run(made, variables, X, ids)
    assert "loss" not in single_layer.run(layer(mode), variables, X, ids, "train")


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
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SynthesizerAttention(**settings)


def test_gin_gives_it_the_settings_of_self_attention_and_its_own():
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
