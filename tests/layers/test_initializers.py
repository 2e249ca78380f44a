"""Initial values by role: their distribution in a model, and which variable has which role."""

import collections
import json
import re

import gin
import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer import layers
from primer.common import graph_marks
from primer.layers import initializers
from tests import gin_models
from tests.layers import helpers
from tests.layers.embeddings.embedding_helpers import bind
from tests.paths import ROOT

WIRINGS = sorted((ROOT / "tests" / "gin" / "golden").glob("*.json"))
TARGETS = np.ones([1, 4], np.int32)
# Two blocks of attention and feed-forward layer.
DEPTH = 4
SIZE = dict(d_model=64, d_ff=256, num_heads=4, d_kv=16)
SHAPE = mtf.Shape([mtf.Dimension("heads", 64), mtf.Dimension("d_model", 64)])


def set_up(**settings):
    bind("tied_embeddings = False")
    gin.parse_config("initial_values.initializer = @weight_initializer")
    gin.parse_config([f"weight_initializer.{key} = {value!r}" for key, value in settings.items()])


def initial_values(model=None, mode="train", before=()):
    """Returns the initial values of a model's variables, {name below the model: array}."""
    model = model or helpers.build_model(
        "primer_ez", model={"positional_embedding": True, "max_length": 512}, **SIZE
    )
    with helpers.bench() as b:
        for name in before:
            tf.get_variable(name, [3])
        ids = b.put(TARGETS, "batch", "length")
        model.call_simple(inputs=ids, targets=ids, compute_loss=True, mode=mode)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            values = session.run({v.op.name: v for v in tf.global_variables()})
    return {name.removeprefix("transformer/"): value for name, value in values.items()}


def role(name):
    if name == "positional_embedding":
        return "positions"
    if name.endswith("/q"):
        return "queries"
    return "residual" if re.search(r"/(o|wo/kernel)$", name) else "other"


def check_normal(value, stddev):
    """The standard deviation within five standard errors, and the tails of a whole normal."""
    np.testing.assert_allclose(value.std(), stddev, rtol=5 / np.sqrt(2 * value.size))
    assert abs(value.mean()) < 5 * stddev / np.sqrt(value.size)
    if value.size > 10000:
        assert np.abs(value).max() > 3 * stddev  # A truncated one ends at 2.


def test_projections_of_an_adaptive_softmax():
    """Transformer-XL: 0.02, projections 0.01, biases 0."""
    set_up(weight_stddev=0.02, projection_stddev=0.01)
    gin.parse_config("get_vocab_embedding_cls.cls = @AdaptiveEmbedding")
    adaptive = {"cutoffs": [20, 50], "div_val": 2, "tied_projections": [False, True, True]}
    gin.parse_config([f"AdaptiveEmbedding.{key} = {value!r}" for key, value in adaptive.items()])
    values = initial_values(helpers.build_model("primer_ez", model={"z_loss": 0.0}, **SIZE))
    own = {name: value for name, value in values.items() if "block" not in name}
    assert sum("projection" in name for name in own) == 4
    for name, value in own.items():
        if value.ndim == 1:
            assert "scale" in name or not value.any()
        else:
            check_normal(value, 0.01 if "projection" in name else 0.02)


def test_a_model_of_gpt_2():
    set_up(weight_stddev=0.02, position_stddev=0.01, residual_initializer="scaled_by_depth")
    values = initial_values()
    found = collections.Counter()
    for name, value in values.items():
        if value.ndim == 1:  # Scales, biases and taps of convolutions.
            assert len(set(value.tolist())) == 1, name
            continue
        found[role(name)] += 1
        stddevs = {"positions": 0.01, "residual": 0.02 / DEPTH**0.5, "queries": 0.02 / 16**0.5}
        check_normal(value, stddevs.get(role(name), 0.02))
    assert found["residual"] == DEPTH and found["positions"] == 1
    assert {"embedding", "logits/kernel"} <= set(values)


@pytest.mark.parametrize(
    "attention, factors",
    [
        ({"scale": 1.0}, {"q": 1}),
        ({"scale": "rsqrt"}, {"q": 1}),
        ({"fold_scaling_into_initializer": False}, {"q": 1}),
        ({"shared_kv": True}, {"q": 1 / 4, "kv": 1}),
        ({"share_qk_rep": True}, {"q": 1 / 4, "q_solo_project/kernel": 1}),
        (
            {"share_qk_rep": True, "rescale_shared_keys": True},
            {"q": 1, "q_solo_project/kernel": 1 / 4},
        ),
    ],
)
def test_queries_keep_the_factor_of_the_logits(attention, factors):
    """That is d_kv^-0.5, where T5 has it in the initial values."""
    set_up(weight_stddev=0.02)
    values = initial_values(
        helpers.build_model("primer_ez", attention=attention, num_layers=1, **SIZE)
    )
    for name, factor in factors.items():
        check_normal(values[f"block_000/layer_000/MDHA/{name}"], 0.02 * factor)


def test_without_settings_nothing_changes():
    bind("tied_embeddings = False")
    expected = initial_values()
    set_up(weight_stddev=None, position_stddev=None, residual_initializer=None)
    found = initial_values()
    assert list(found) == list(expected)
    for name, value in expected.items():
        if "relative_attention_bias" not in name:  # TensorFlow's default, which has no seed.
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_the_layers_own_values_scaled_by_depth():
    set_up()
    expected = initial_values()
    set_up(residual_initializer="scaled_by_depth")
    for name, value in initial_values().items():
        if "relative_attention_bias" not in name:
            factor = 0.5 if role(name) == "residual" else 1.0
            np.testing.assert_allclose(value, factor * expected[name], rtol=1e-6, err_msg=name)


def test_zero():
    set_up(weight_stddev=0.3, residual_initializer="zero")
    for name, value in initial_values().items():
        if value.ndim > 1:
            assert value.any() == (role(name) != "residual"), name


def test_a_model_of_gshard():
    """Lingvo's: embeddings N(0, 1), feed-forward layers uniform, biases by the table's size."""
    sizes = [f"{name} = {value}" for name, value in {**SIZE, "d_ff_gated": 256}.items()]
    values = initial_values(gin_models.build(gin_models.files("gshard", "geglu"), sizes))
    d_model, d_ff, width = SIZE["d_model"], SIZE["d_ff"], SIZE["num_heads"] * SIZE["d_kv"]
    variances = {
        r"^embedding$": 1.0,
        r"/q$": 1 / (d_model * SIZE["d_kv"]),
        r"/[kv]$": 1 / d_model,
        r"/o$": 1 / width,
        r"/relative_attention_bias$": 1 / (SIZE["num_heads"] * 32),
        r"/wi_[01]/kernel$": 1 / d_model,
        r"/wo/kernel$": 1 / d_ff,
    }
    for name, value in values.items():
        found = [v for ending, v in variances.items() if re.search(ending, name)]
        if not found:
            assert name.endswith("rms_norm/scale") and (value == 1).all()
        elif "kernel" in name:
            limit = (3 * found[0]) ** 0.5
            assert 0.99 * limit < np.abs(value).max() <= limit
            np.testing.assert_allclose(value.std(), limit / 3**0.5, rtol=0.02)
        else:
            check_normal(value, found[0] ** 0.5)


@pytest.mark.parametrize("value, expected", [("rsqrt", 64**-1), (0.3, 0.3), (None, 0.5)])
def test_tables_of_relative_biases(value, expected):
    """As large as the root of their size without the models of an ensemble, or a number."""
    dims = [mtf.Dimension(*dim) for dim in (("ensemble", 3), ("heads", 64), ("buckets", 64))]
    initializer = initializers.weight_initializer(
        "transformer/block_000/layer_000/SelfAttention/relative_attention_bias",
        None,
        mtf.Shape(dims),
        weight_stddev=0.5,
        relative_bias_stddev=value,
    )
    with tf.Graph().as_default(), tf.Session() as session:
        check_normal(session.run(initializer([3, 64, 64])), expected)


def test_the_distribution_of_feed_forward_layers_is_a_slot():
    values = {}
    for name in ("normal", "uniform"):
        binding = f'initializer_distribution = "{name}"'
        model = gin_models.build(gin_models.files("transformer"), ["num_layers = 1", binding])
        values[name] = initial_values(model)["block_000/layer_001/DenseReluDense/wi/kernel"]
    limit = (3 / 32) ** 0.5
    assert np.abs(values["uniform"]).max() <= limit < np.abs(values["normal"]).max()
    np.testing.assert_allclose(values["uniform"].std(), 32**-0.5, rtol=0.03)


def test_positions_have_the_deviation_of_weights_unless_set():
    set_up(weight_stddev=0.5)
    check_normal(initial_values()["positional_embedding"], 0.5)


def test_a_draw_depends_on_seed_and_name_alone():
    set_up(weight_stddev=0.02, residual_initializer="scaled_by_depth")
    first = initial_values()
    again = initial_values(before=["one", "two"])
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)
    drawn = [value.tobytes() for value in first.values() if value.ndim > 1]
    assert len(set(drawn)) == len(drawn)
    gin.parse_config("run_seed.seed = 1")
    assert (initial_values()["embedding"] != first["embedding"]).all()


@pytest.mark.parametrize("path", WIRINGS, ids=lambda path: path.stem)
def test_every_layer_of_every_architecture_has_one_residual_projection(path):
    wiring = json.loads(path.read_text(encoding="utf-8"))
    found = collections.Counter(
        "/".join(name.split("/")[1:3])
        for name in wiring["variables"]
        if initializers._RESIDUAL.search(name)
    )
    assert found == {layer["name"]: 1 for layer in wiring["layers"]}


@pytest.mark.parametrize(
    "stack, initializer, mode, is_said",
    [
        ("SandwichNormLayerStack", "zero", "train", True),
        ("SandwichNormLayerStack", "zero", "eval", False),
        ("PrePostNormLayerStack", "scaled_by_depth", "train", True),
        ("PostNormLayerStack", "zero", "train", False),
        ("PreNormLayerStack", "scaled_by_depth", "train", False),
        ("SandwichNormLayerStack", None, "train", False),
    ],
)
def test_norms_of_outputs_undo_the_residual_initializer(stack, initializer, mode, is_said):
    settings = [f"layer_stack = @{stack}", f"residual_initializer = {initializer!r}"]
    model = gin_models.build(gin_models.files("transformer"), ["num_layers = 1", *settings])
    with helpers.bench() as b:
        ids = b.put(TARGETS, "batch", "length")
        model.call_simple(inputs=ids, targets=ids, compute_loss=True, mode=mode)
        said = graph_marks.remarks()
    assert len(said) == is_said
    assert not is_said or f'residual_initializer = "{initializer}"' in said[0]


def test_taps_of_convolutions_stay_those_of_the_layer():
    """EvolvedConvolution's are random."""
    files = gin_models.files("evolved_transformer")
    own, found = (
        initial_values(gin_models.build(files, ["num_evolved_blocks = 1", f"weight_stddev = {s}"]))
        for s in (None, 0.02)
    )
    taps = [name for name in own if re.search(r"depthwise_dense_\d+/kernel$", name)]
    assert len(taps) == 11 + 7 + 7
    for name in taps:
        np.testing.assert_array_equal(found[name], own[name], err_msg=name)
    (pointwise,) = (n for n in own if "11x1" in n and n.endswith("pointwise_dense/kernel"))
    check_normal(found[pointwise], 0.02)


def test_experts_and_their_router():
    set_up(weight_stddev=0.02, residual_initializer="zero")
    experts = (layers.MixtureOfExperts, {"num_experts": 4, "hidden_size": 64})
    stack = transformer.make_layer_stack(
        layers=[experts],
        layer_stack_cls=lambda layers: transformer.LayerStack(
            layers, **helpers.sublayers(transformer.sublayer_true_layer_norm)
        ),
        num_layers=1,
    )
    model = transformer.Unitransformer(
        stack,
        d_model=32,
        input_vocab_size=97,
        output_vocab_size=97,
        autoregressive=True,
        max_length=8,
        positional_embedding=False,
        shared_embedding_and_softmax_weights=True,
    )
    values = initial_values(model)
    (wo,) = (value for name, value in values.items() if name.endswith("wo/kernel"))
    (wi,) = (value for name, value in values.items() if name.endswith("wi/kernel"))
    assert wo.shape == (4, 64, 32) and not wo.any()
    check_normal(wi, 0.02)
    (gate,) = (value for name, value in values.items() if "gating" in name)
    check_normal(gate, 0.02)


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("weight_stddev", 0.0, "a number above 0, or None"),
        ("weight_stddev", "small", "a number above 0, or None"),
        ("position_stddev", -1, "a number above 0, or None"),
        ("residual_initializer", "depth", 'None, "scaled_by_depth" or "zero"'),
    ],
)
def test_invalid_settings(name, value, expected):
    message = re.escape(f"weight_initializer.{name} = {value!r}: expected {expected}")
    with pytest.raises(ValueError, match=f"^{message}"):
        layers.weight_initializer("o", tf.random_normal_initializer(), SHAPE, **{name: value})


def test_the_depth_is_known_only_with_token_embedding():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="cls = @TokenEmbedding"):
        layers.weight_initializer(
            "layer/o", tf.random_normal_initializer(), SHAPE, residual_initializer="scaled_by_depth"
        )


def test_a_seed_of_the_layers_own_stays():
    own = tf.random_normal_initializer(seed=3)
    scaled = initializers.Scaled(own, 0.5)
    with tf.Graph().as_default(), tf.Session() as session:
        values, expected = session.run([scaled([4], dtype=tf.float32), own([4], dtype=tf.float32)])
    assert scaled.seed == 3
    np.testing.assert_allclose(values, 0.5 * expected)
