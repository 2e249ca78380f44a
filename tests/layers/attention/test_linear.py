"""Linear attention: the equation, any size of keys, decoding, packed examples, settings."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer import layers
from primer.common import graph_marks
from primer.layers.attention import linear
from tests.layers import helpers, single_layer
from tests.layers.attention.linear_helpers import SETTINGS, Layer, output

X = np.random.default_rng(0).standard_normal([2, 10, 32]).astype(np.float32)
IDS = np.array([[1] * 4 + [2] * 6, [1] * 1 + [2] * 5 + [3] * 3 + [0] * 1])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_equation(settings):
    values = single_layer.random_variables(Layer(**settings))
    y = single_layer.run(Layer(**settings), values, X)["y"]
    np.testing.assert_allclose(y, output(values, X), rtol=0, atol=1e-5)


@pytest.mark.parametrize("chunk_length", [3, None])
@pytest.mark.parametrize("shift", [-200.0, 200.0])
def test_a_constant_added_to_all_keys_changes_nothing(shift, chunk_length):
    """GPT-Neo takes exp of the keys as they are, and adds 1e-6 to the denominator."""
    x, values = X.copy(), single_layer.random_variables(Layer())
    x[:, :, 0], values["k"][0] = 1.0, 0.0
    expected = output(values, x)
    values["k"][0] = shift
    y = single_layer.run(Layer(chunk_length), values, x)["y"]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("chunk_length", [3, None])
@pytest.mark.parametrize("slope", [-40.0, 40.0])
def test_keys_of_very_different_size(slope, chunk_length):
    """From one position to the next, keys grow or fall by a factor of e^40."""
    x, values = X.copy(), single_layer.random_variables(Layer())
    x[:, :, 0], values["k"][0] = np.arange(10), slope
    layer = Layer(chunk_length)
    values_of = single_layer.run(layer, values, x, mode="train", weights=np.ones_like(x))
    np.testing.assert_allclose(values_of["y"], output(values, x), rtol=0, atol=1e-4)
    assert all(np.isfinite(value).all() for value in values_of.values())
    y = single_layer.decode(layer, values, x, [0, 4])
    steps = ~np.isnan(y)
    assert steps.sum() == (10 + 6) * 32
    np.testing.assert_allclose(y[steps], output(values, x)[steps], rtol=0, atol=1e-4)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_decoding(settings):
    values = single_layer.random_variables(Layer(**settings))
    single_layer.check_decoding(Layer(**settings), values, X, [2, 6])


@pytest.mark.parametrize("shift", [-200.0, 0.0, 200.0])
def test_decoding_without_prompts(shift):
    """Mesh-TF then starts with states of zeros."""
    x, values = X.copy(), single_layer.random_variables(Layer())
    x[:, :, 0], values["k"][0] = 1.0, shift
    with helpers.bench(variables=values) as b:
        inputs = b.put(x, *single_layer.NAMES)
        context = single_layer.context_of(b, inputs, "first_part")
        context.initial_position = b.put(np.zeros(2, np.int32), "batch")
        Layer().call(context, inputs)
        states = [state * 0.0 for state in context.new_states]
        ys = []
        for at in range(3):
            context = single_layer.context_of(b, inputs, "incremental")
            context.position, context.states = b.put(np.full(2, at, np.int32), "batch"), states
            with tf.variable_scope("", reuse=True):
                ys.append(Layer().call(context, b.put(x[:, at], "batch", "d_model")))
            states = context.new_states
        ys = b.run(dict(enumerate(ys)))
    y = np.stack([ys[at] for at in range(3)], 1)
    values["k"][0] = 0.0
    np.testing.assert_allclose(y, output(values, x)[:, :3], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("mode", "rate", "said"), [("train", 0.1, True), ("train", 0.0, False), ("eval", 0.1, False)]
)
def test_dropout_without_effect_is_said_in_training(mode, rate, said):
    with helpers.bench() as b:
        x = b.put(X, *single_layer.NAMES)
        Layer(dropout_rate=rate).call(single_layer.context_of(b, x, mode), x)
        remarks = graph_marks.remarks()
    assert [text.split(" has")[0] for text in remarks] == ["attention_dropout_rate = 0.1"] * said


def test_an_extra_logit_is_refused():
    with pytest.raises(ValueError, match="attention_kwargs has extra_logit and kind = 'linear'"):
        layers.MultiHeadAttention(kind="linear", attention_kwargs={"extra_logit": 0.0})


def test_states_do_not_depend_on_the_length():
    shapes = []
    for length in (4, 10):
        with helpers.bench() as b:
            x = b.put(X[:, :length], *single_layer.NAMES)
            context = single_layer.context_of(b, x, "first_part")
            context.initial_position = b.put(np.full(2, length, np.int32), "batch")
            Layer().call(context, x)
            shapes.append([state.shape.dimension_names for state in context.new_states])
            sizes = [state.size for state in context.new_states]
    names = ["batch", "heads", "d_kv", "d_value"]
    assert shapes == [[names, names[:3], names[:2]]] * 2
    assert sizes == [2 * 4 * 8 * 8, 2 * 4 * 8, 2 * 4]


@pytest.mark.parametrize("chunk_length", [3, None])
def test_packed_texts(chunk_length):
    layer = Layer(chunk_length)
    values = single_layer.random_variables(layer)
    y = single_layer.run(layer, values, X, IDS)["y"]
    np.testing.assert_allclose(y, output(values, X, IDS), rtol=0, atol=1e-5)
    single_layer.check_packing(layer, values, X, IDS)


def test_packed_texts_have_rotary_positions_of_their_own():
    """exp of rotated keys is not a function of differences of positions."""
    settings = {"num_heads": 4, "key_value_size": 8, "kind": "linear", "positions": "rotary"}
    layer = layers.MultiHeadAttention(**settings)
    values = single_layer.random_variables(layer)
    single_layer.check_packing(layer, values, X, IDS)
    single_layer.check_decoding(layer, values, X, [2, 6])


def test_a_packed_text_with_large_keys_leaves_the_others_alone():
    x, values = X.copy(), single_layer.random_variables(Layer(3))
    x[:, :, 0], values["k"][0] = 100.0 * (IDS == 1), 10.0
    y = single_layer.run(Layer(3), values, x, IDS)["y"]
    x[:, :, 0] = 0.0
    np.testing.assert_allclose(y[IDS > 1], output(values, x, IDS)[IDS > 1], rtol=0, atol=1e-4)


def test_bfloat16_sums_are_float32():
    values = single_layer.random_variables(Layer())
    y = single_layer.run(Layer(3), values, X, dtype=tf.bfloat16)["y"]
    np.testing.assert_allclose(y, output(values, X), rtol=0, atol=0.05)


def test_an_encoder_raises_an_error():
    with helpers.bench() as b:
        x = b.put(X, *single_layer.NAMES)
        context = single_layer.context_of(b, x)
        context.model.fully_autoregressive = False
        with pytest.raises(ValueError, match="'linear' sees only earlier positions.*'global'"):
            Layer().call(context, x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"positions": "alibi"}, "positions = 'alibi' and kind = 'linear': .* rotary, learned"),
        ({"positions": "t5_bias_shared"}, "positions = 't5_bias_shared' and kind"),
        ({"relative_attention_type": "bias"}, "relative_attention_type = 'bias' and kind"),
        ({"logit_cap": 5.0}, "logit_cap = 5.0 and kind = 'linear': .* set it to None"),
        ({"num_persistent_vectors": 2}, "num_persistent_vectors = 2 and kind .* set it to 0"),
        ({"z_loss_coeff": 1e-4}, "z_loss_coeff = 0.0001 and kind"),
    ],
    ids=str,
)
def test_settings_of_logits_raise_errors(settings, message):
    with pytest.raises(ValueError, match=f"MultiHeadAttention.{message}"):
        layers.MultiHeadAttention(kind="linear", **settings)


@pytest.mark.parametrize("positions", linear.POSITIONS)
def test_other_positions_are_valid(positions):
    layers.MultiHeadAttention(kind="linear", positions=positions, num_distances=8)
