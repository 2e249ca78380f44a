"""Transformer-XL's logits: the equation, Hugging Face's layer with memory, and gradients."""

import gin
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers import MDHA, DoubleHeadsAttention, MultiHeadAttention
from tests import gin_models
from tests.layers import helpers, single_layer, transformer_xl_attention_weights
from tests.layers.attention.transformer_xl import memory_helpers
from tests.paths import GOLDEN

HEADS, D_KV, D_MODEL = 4, 8, 32
RNG = np.random.default_rng(3)
X, MEMORY = (RNG.standard_normal([2, n, D_MODEL]).astype(np.float32) for n in (7, 6))
IDS = np.array([[1] * 3 + [2] * 4, [1] * 5 + [0] * 2])
LEARNED = {"positions": "transformer_xl_learned", "num_distances": 9}


def layer_of(cls=MultiHeadAttention, **changes):
    settings = {
        "num_heads": HEADS,
        "key_value_size": D_KV,
        "scale": "rsqrt",
        "positions": "transformer_xl",
        "untie_relative_biases": True,
    }
    return cls(**{**settings, **changes})


def of_distance(distance, variables, limit=None, num_distances=None):
    """The vectors of an array of distances, and their own logits: [..., heads, d_kv], [..., heads].

    Those of "transformer_xl" are projected sinusoids, those of "transformer_xl_learned" rows.
    """
    if num_distances is None:
        distance = distance if limit is None else np.clip(distance, -limit, limit)
        angle = distance[..., None] * 10000.0 ** (-2 * np.arange(D_MODEL // 2) / D_MODEL)
        vectors = np.concatenate([np.sin(angle), np.cos(angle)], -1) @ variables["r"]
        return vectors.reshape(*distance.shape, HEADS, D_KV), 0.0
    row = num_distances - 1 - np.clip(distance, 0, min(num_distances, limit or 99) - 1)
    return variables["r_emb"][row], variables["r_bias"][row]


def equation(variables, x, memory=None, scale=D_KV**-0.5, groups=1, **settings):
    """The output of the equation in numpy, in loops over queries and keys."""
    named = {name.split("/")[-1]: value.astype(np.float64) for name, value in variables.items()}
    inputs = x if memory is None else np.concatenate([memory, x], 1)
    q = (x @ named["q"]).reshape(*x.shape[:2], HEADS, D_KV)
    k, v = ((inputs @ named[n]).reshape(*inputs.shape[:2], -1, D_KV) for n in "kv")
    k, v = np.repeat(k, groups, 2), np.repeat(v, groups, 2)
    o, offset = np.zeros_like(q), inputs.shape[1] - x.shape[1]
    u = named["r_w_bias"].reshape(HEADS, D_KV)
    other = 0 if "r_emb" in named else named["r_r_bias"].reshape(HEADS, D_KV)
    for i in range(x.shape[1]):
        seen = offset + i + 1
        vectors, added = of_distance(seen - 1 - np.arange(seen), named, **settings)
        logits = np.einsum("bhd,bjhd->bjh", q[:, i] + u, k[:, :seen])
        logits = scale * (logits + np.einsum("bhd,jhd->bjh", q[:, i] + other, vectors) + added)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        o[:, i] = np.einsum("bjh,bjhd->bhd", weights, v[:, :seen])
    return o.reshape(*x.shape[:2], -1) @ named["o"]


CASES = {
    "sinusoids": ({}, {}),
    "up to a distance of 4": ({"clamp_length_eval": 4, "clamp_length": 2}, {"limit": 4}),
    "a factor": ({"scale": 0.7}, {"scale": 0.7}),
    "in the projection": ({"scale": None, "fold_scaling_into_initializer": False}, {}),
    "in the initial values": ({"scale": None}, {"scale": 1.0}),
    "grouped": ({"num_memory_heads": 2}, {"groups": 2}),
    "one head of keys": ({"num_memory_heads": 1}, {"groups": 4}),
    "learned": (LEARNED, {"num_distances": 9}),
    "learned up to 4": ({**LEARNED, "clamp_length_eval": 4}, {"num_distances": 9, "limit": 4}),
}


@pytest.mark.parametrize("case", CASES)
def test_equation(case):
    changes, settings = CASES[case]
    layer = layer_of(**changes)
    variables = single_layer.random_variables(layer)
    found = single_layer.run(layer, variables, X)["y"]
    np.testing.assert_allclose(found, equation(variables, X, **settings), rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", ["sinusoids", "up to a distance of 4", "grouped", "learned"])
def test_equation_with_keys_before_the_queries(case):
    changes, settings = CASES[case]
    layer = layer_of(**changes)
    variables = single_layer.random_variables(layer)
    found = memory_helpers.run(layer, variables, X, MEMORY)["y"]
    np.testing.assert_allclose(found, equation(variables, X, MEMORY, **settings), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("case", "limit"), [("plain", None), ("clamped", 4)])
def test_outputs_and_gradients_are_those_of_hugging_face(case, limit):
    """golden/transformer_xl_layer.py has the layer's settings and its inputs."""
    with np.load(GOLDEN / "transformer_xl_layer.npz") as arrays:
        arrays = helpers.by_prefix(dict(arrays), f"{case}/")
    weights = transformer_xl_attention_weights
    found_weights = [*weights.of_attention("", ""), *weights.of_biases("", "")]
    variables, gradients = {}, {}
    for weight in found_weights:
        theirs, ours = weight.theirs[1:], [name[1:] for name in weight.ours]
        variables.update(zip(ours, weight.layout.split(arrays[f"state/{theirs}"])))
        gradients.update(zip([f"d {n}" for n in ours], weight.layout.split(arrays[f"d {theirs}"])))
    x, memory, factors, y, dx, dmemory = (
        arrays[n].transpose(1, 0, 2) for n in ("w", "memory", "weights", "y", "d w", "d memory")
    )
    layer = layer_of(clamp_length_eval=limit)
    found = memory_helpers.run(layer, variables, x, memory, factors)
    expected = {"y": y, "d x": dx, "d memory": dmemory, **gradients}
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("changes", [{"num_memory_heads": 2}, LEARNED], ids=str)
def test_gradients_are_those_of_finite_differences(changes):
    """Of the variables that Hugging Face's layer does not have, too."""
    layer = layer_of(**changes)
    variables = single_layer.random_variables(layer)
    factors = RNG.standard_normal(X.shape).astype(np.float32)
    found = memory_helpers.run(layer, variables, X, MEMORY, factors)
    settings = {"num_distances": 9} if changes is LEARNED else {"groups": 2}
    for name in ("r_w_bias", "r_emb", "r_bias") if changes is LEARNED else ("r", "r_r_bias", "k"):
        direction = RNG.standard_normal(variables[name].shape)
        ends = [
            np.sum(factors * equation({**variables, name: moved}, X, MEMORY, **settings))
            for moved in (variables[name] + step * direction for step in (-1e-5, 1e-5))
        ]
        expected = (ends[1] - ends[0]) / 2e-5
        np.testing.assert_allclose(np.sum(found[f"d {name}"] * direction), expected, rtol=1e-3)


WINDOW = {"kind": "local", "window": 3}


@pytest.mark.parametrize("changes", [{}, {"block_length": 2}, {"block_length": 3, **LEARNED}])
def test_windows(changes):
    """Blocks of any length, with halos, and their decoding, equal a mask of all positions."""
    layers = [layer_of(**{**changes, **WINDOW, "block_length": n}) for n in (None, 99)]
    layers[0].block_length = changes.get("block_length")
    variables = single_layer.random_variables(layers[0])
    found, expected = (single_layer.run(layer, variables, X, ids=IDS)["y"] for layer in layers)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    single_layer.check_decoding(layers[0], variables, X, [2, 0])


@pytest.mark.parametrize("changes", [{}, LEARNED, {"num_heads": 1, "clamp_length_eval": 3}])
def test_decoding_and_packing(changes):
    layer = layer_of(**changes)
    variables = single_layer.random_variables(layer)
    single_layer.check_decoding(layer, variables, X, [2, 0])
    single_layer.check_packing(layer, variables, X, IDS)


LAYOUTS = ["batch:rows,heads:columns", "length:rows,d_model:columns", "memory_length:columns"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mesh(layout):
    layer = layer_of(num_memory_heads=2)
    variables = single_layer.random_variables(layer)
    x = X[:, :6]
    factors = RNG.standard_normal(x.shape)
    expected = single_layer.run(layer, variables, x, weights=factors)
    mesh = {"mesh_shape": "rows:2,columns:2", "layout": layout}
    found = single_layer.run(layer, variables, x, weights=factors, **mesh)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("limit", [None, 2])
def test_later_keys_have_negative_distances(limit):
    """In models that see both sides, without memory."""
    layer = layer_of(clamp_length_eval=limit)
    variables = single_layer.random_variables(layer)
    with helpers.bench(variables=variables) as b:
        x = b.put(X, *single_layer.NAMES)
        context = single_layer.context_of(b, x)
        context.read_priority, context.model.fully_autoregressive = None, False
        found = b.run({"y": layer.call(context, x)})["y"]
    q, k, v = ((X @ variables[n]).reshape(*X.shape[:2], HEADS, D_KV) for n in "qkv")
    index = np.arange(X.shape[1])
    vectors, _ = of_distance(index[:, None] - index, variables, limit)
    logits = np.einsum("bihd,bjhd->bhij", q + variables["r_w_bias"], k)
    logits += np.einsum("bihd,ijhd->bhij", q + variables["r_r_bias"], vectors)
    weights = np.exp(logits * D_KV**-0.5)
    weights /= weights.sum(-1, keepdims=True)
    expected = np.einsum("bhij,bjhd->bihd", weights, v).reshape(X.shape) @ variables["o"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_bfloat16_keeps_the_logits_in_float32():
    layer = layer_of()
    variables = single_layer.random_variables(layer)
    expected = single_layer.run(layer, variables, X)["y"]
    found = single_layer.run(layer, variables, X, dtype=tf.bfloat16)["y"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.05 * np.abs(expected).max())


BINDINGS = {
    "recomputed gradients": ["LayerStack.recompute_grads = True"],
    "an ensemble": ["Unitransformer.ensemble = 2"],
}


@pytest.mark.parametrize("positions", ["transformer_xl", "transformer_xl_absolute"])
@pytest.mark.parametrize("case", BINDINGS)
def test_models(case, positions):
    """Of equal members, and with layers that are computed twice."""
    bindings = [f"positions = '{positions}'", "num_distances = 5"]
    files = gin_models.files("transformer_xl")
    plain, other = (gin_models.build(files, [*bindings, *b]) for b in ([], BINDINGS[case]))
    variables = helpers.random_variables(plain)
    targets = RNG.integers(2, 97, [2, 8])
    expected = helpers.call(plain, variables, targets, mode="train", gradients=True)
    if case == "an ensemble":
        variables = {name: np.stack([value] * 2) for name, value in variables.items()}
    found = helpers.call(other, variables, targets, mode="train", gradients=True)
    if case == "an ensemble":  # Its loss is the sum of its members'.
        found, expected = {"loss": found["loss"]}, {"loss": 2 * expected["loss"]}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_longest_distance_of_training():
    layer, unlimited = layer_of(clamp_length=2), layer_of()
    variables = single_layer.random_variables(layer)
    runs = {m: single_layer.run(layer, variables, X, mode=m)["y"] for m in ("train", "eval")}
    expected = equation(variables, X, limit=2)
    np.testing.assert_allclose(runs["train"], expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(runs["eval"], single_layer.run(unlimited, variables, X)["y"])


def test_layers_share_their_biases_or_do_not():
    for untied, number in ((False, 1), (True, 2)):
        model = gin_models.build(
            gin_models.files("transformer_xl"), [f"untie_relative_biases = {untied}"]
        )
        names = helpers.random_variables(model)
        assert sum(name.endswith("/r_r_bias") for name in names) == number
        assert ("transformer/r_w_bias" in names) == (not untied)


def test_heads_of_other_sizes_cannot_share_biases():
    files = gin_models.files("evolved_transformer")
    model = gin_models.build(files, ["positions = 'transformer_xl'"])
    message = "^untie_relative_biases = False and attention layers with 8 heads of 4 and 4 of 8"
    with pytest.raises(ValueError, match=message):
        helpers.random_variables(model)
    gin.clear_config()
    bindings = ["positions = 'transformer_xl'", "untie_relative_biases = True"]
    assert helpers.random_variables(gin_models.build(files, bindings))


@pytest.mark.parametrize("cls", [MDHA, DoubleHeadsAttention], ids=lambda cls: cls.__qualname__)
def test_other_classes_have_the_vectors_of_their_own_heads(cls):
    layer = layer_of(cls)
    variables = single_layer.random_variables(layer)
    assert sum(name.endswith(("/r", "/r_w_bias")) or name == "r" for name in variables) >= 1
    single_layer.check_decoding(layer, variables, X, [2, 0])
