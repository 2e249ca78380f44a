"""Multi-head attention: Mesh-TF's function by default, and each option against its equation."""

import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer_layers

from primer.checkpoints.description import model_description, plain_settings
from primer.layers import MDHA, MultiHeadAttention, WindowedSelfAttention
from tests.layers import helpers, single_layer

IDS = np.array([[1] * 5 + [2] * 7, [1] * 9 + [0] * 3])
X = np.random.default_rng(0).standard_normal([2, 12, 32]).astype(np.float32)
HEADS, D_KV = 4, 8


def settings(**changes):
    return {"num_heads": HEADS, "key_value_size": D_KV, **changes}


def run(layer, variables, **arguments):
    return single_layer.run(layer, variables, X, **arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"relative_attention_type": "bias"},
        {"relative_attention_type": "contextual", "num_memory_heads": 2},
        {"num_memory_heads": 1},
        {"num_heads": 1},
        {"shared_kv": True},
        {"combine_dims": False, "fold_scaling_into_initializer": False},
        {"keep_query_heads_dims": False, "attention_kwargs": {"extra_logit": 0.0}},
    ],
    ids=str,
)
def test_outputs_and_gradients_are_those_of_mesh_tf(changes):
    stock = transformer_layers.SelfAttention(**settings(**changes))
    ours = MultiHeadAttention(**settings(**changes))
    variables = single_layer.random_variables(stock)
    weights = np.random.default_rng(1).standard_normal(X.shape)
    expected, found = (run(layer, variables, ids=IDS, weights=weights) for layer in (stock, ours))
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(variables, biases=(), scale=1.0):
    """Returns the equation's output for every option of the projections, in numpy."""
    named = {name.split("/")[-1]: value for name, value in variables.items()}
    q, k, v = (X @ named[n] + (named[f"{n}_bias"] if "qkv" in biases else 0) for n in "qkv")
    q, k, v = (t.reshape(2, 12, HEADS, D_KV).transpose(0, 2, 1, 3) for t in (q, k, v))
    logits = scale * q @ k.transpose(0, 1, 3, 2)
    logits = np.where(np.tri(12, dtype=bool), logits, -np.inf)
    o = (softmax(logits) @ v).transpose(0, 2, 1, 3).reshape(2, 12, -1)
    return o @ named["o"] + (named["o_bias"] if "output" in biases else 0)


@pytest.mark.parametrize(
    ("biases", "parts"),
    [("none", ()), ("qkv", ("qkv",)), ("output", ("output",)), ("all", ("qkv", "output"))],
)
def test_biases(biases, parts):
    layer = MultiHeadAttention(**settings(biases=biases))
    variables = single_layer.random_variables(layer)
    assert sum("bias" in name for name in variables) == 3 * ("qkv" in parts) + ("output" in parts)
    found = run(layer, variables)["y"]
    np.testing.assert_allclose(found, attention(variables, parts), rtol=0, atol=1e-4)


def test_biases_do_not_depend_on_combine_dims():
    layers = [
        MultiHeadAttention(**settings(biases="all", combine_dims=combined, num_memory_heads=2))
        for combined in (True, False)
    ]
    variables = single_layer.random_variables(layers[0])
    shapes = {n: v.shape for n, v in single_layer.random_variables(layers[1]).items()}
    apart = {name: value.reshape(shapes[name]) for name, value in variables.items()}
    values = [run(*pair)["y"] for pair in zip(layers, (variables, apart))]
    np.testing.assert_allclose(values[1], values[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("scale", "factor"), [(1.0, 1.0), (0.25, 0.25), ("rsqrt", 8**-0.5)])
@pytest.mark.parametrize("fold", [True, False])
def test_a_scale_replaces_that_of_the_initial_values(scale, factor, fold):
    """Whatever `fold_scaling_into_initializer` says; the initial queries are not scaled."""
    layer = MultiHeadAttention(**settings(scale=scale, fold_scaling_into_initializer=fold))
    variables = single_layer.random_variables(layer)
    found = run(layer, variables)["y"]
    np.testing.assert_allclose(found, attention(variables, scale=factor), rtol=0, atol=1e-4)


@pytest.mark.parametrize("fold", [True, False])
def test_normalized_queries_have_the_usual_factor(fold):
    """The norm cancels that of the initial values, and that of the projection."""
    changes = {"qk_norm": "rms", "fold_scaling_into_initializer": fold}
    layers = [MultiHeadAttention(**settings(scale=scale, **changes)) for scale in (None, "rsqrt")]
    variables = single_layer.random_variables(layers[0])
    by_default, expected = (run(layer, variables)["y"] for layer in layers)
    np.testing.assert_array_equal(by_default, expected)


@pytest.mark.parametrize("changes", [{"num_memory_heads": 2}, {"num_heads": 6}], ids=str)
def test_heads_that_the_mesh_cannot_share_raise_an_error(changes):
    message = r"num_heads = .* and num_memory_heads = .*: . heads do not divide over the 4 proc"
    with pytest.raises(ValueError, match=message), helpers.bench() as b:
        context = single_layer.context_of(b, b.put(X, *single_layer.NAMES))
        context.model.layout, context.model.mesh_shape = "heads:model", "model:4"
        MultiHeadAttention(**settings(**changes)).make_params(context)


@pytest.mark.parametrize(
    ("cls", "changes", "expected"),
    [
        (MultiHeadAttention, {}, "SelfAttention"),
        (MultiHeadAttention, {"positions": "t5_bias", "window": 9}, "SelfAttention"),
        (MultiHeadAttention, {"kind": "local"}, "WindowedSelfAttention"),
        (MultiHeadAttention, {"kind": "linear"}, "MultiHeadAttention(kind)"),
        (MultiHeadAttention, {"positions": "alibi"}, "MultiHeadAttention(positions)"),
        (MultiHeadAttention, {"positions": "transformer_xl"}, "MultiHeadAttention(positions)"),
        (
            MDHA,
            {"positions": "transformer_xl", "untie_relative_biases": True},
            "MDHA(untie_relative_biases, positions)",
        ),
        (MultiHeadAttention, {"logit_cap": 5.0}, "MultiHeadAttention(logit_cap)"),
        (
            MultiHeadAttention,
            {"positions": "alibi", "num_persistent_vectors": 2},
            "MultiHeadAttention(num_persistent_vectors, positions)",
        ),
        (
            MultiHeadAttention,
            {"positions": "rotary", "num_persistent_vectors": 2},
            "MultiHeadAttention(num_persistent_vectors, positions, "
            "persistent_vectors_without_position)",
        ),
        (WindowedSelfAttention, {}, "WindowedSelfAttention"),
        (WindowedSelfAttention, {"kind": "global"}, "WindowedSelfAttention(kind)"),
        (MDHA, {}, "MDHA"),
        (MDHA, {"qk_norm": "rms", "kind": "local"}, "MDHA(kind, qk_norm)"),
    ],
    ids=str,
)
def test_the_described_class_is_that_of_earlier_runs_where_the_function_is(cls, changes, expected):
    """So that these runs resume, and with a setting that they did not have they do not."""
    assert plain_settings.plain(cls(**settings(**changes)))["class"] == expected


def test_the_window_is_compared_with_that_of_earlier_runs():
    earlier, now = (
        plain_settings.plain(layer)
        for layer in (WindowedSelfAttention(9), MultiHeadAttention(kind="local", window=8))
    )
    del earlier["window"]
    assert model_description.first_difference(earlier, now) == "radius 9 -> 8"
