"""AdaptiveEmbedding equals Hugging Face's and PyTorch's adaptive embeddings and softmaxes.

tests/golden/adaptive_softmax/ has their numbers, and make.py, which wrote them.
"""

import ast

import gin
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests import slow
from tests.layers import helpers, transformer_xl_weights
from tests.layers.embeddings.embedding_helpers import gradients, without_layers
from tests.paths import GOLDEN, PARITY

FOLDER = GOLDEN / "adaptive_softmax"
NAMES = ["equal_widths", "narrow", "div_val_2", "untied", "one_cluster"]
RNG = np.random.default_rng(0)
TARGETS = RNG.integers(2, 97, [4, 8]).astype(np.int32)
DIV_VAL_2 = {"cutoffs": [20, 50], "div_val": 2, "tied_projections": [False, True, True]}
MESHES = [
    ("columns:4", "vocab:columns"),
    ("rows:2,columns:2", "batch:rows,vocab:columns"),
    ("columns:2", "vocab:columns"),
    ("rows:2,columns:2", "d_model:rows,vocab:columns"),
]


def bind(**settings):
    gin.parse_config("get_vocab_embedding_cls.cls = @AdaptiveEmbedding")
    gin.parse_config([f"AdaptiveEmbedding.{key} = {value!r}" for key, value in settings.items()])


def golden(name, file="huggingface"):
    """Returns a configuration's arrays by key, its settings as a dict, and the common arrays."""
    with np.load(FOLDER / f"{file}.npz") as arrays:
        arrays = dict(arrays)
    found = helpers.by_prefix(arrays, f"{name}/")
    return found, ast.literal_eval(str(found["config"])), arrays


def model_of(**settings):
    bind(**settings)
    return without_layers(z_loss=0.0)


@pytest.mark.parametrize("name", slow.all_but({"narrow", "div_val_2", "one_cluster"}, NAMES))
def test_equals_hugging_face(name):
    found, config, arrays = golden(name)
    state = helpers.by_prefix(found, "state/")
    # What the padding of the tables has is of no effect.
    variables = transformer_xl_weights.embedding_variables(state, config, padding=3.0)
    model = model_of(**transformer_xl_weights.settings(config))
    targets = arrays["targets"].astype(np.int32)
    results = [helpers.call(model, variables, targets, mode) for mode in ("eval", "train")]
    for result in results:
        log_p = result["logits"]
        np.testing.assert_allclose(log_p[..., :97], found["log_probs"], rtol=0, atol=1e-5)
        assert not np.exp(log_p[..., 97:]).any()
        assert np.abs(np.log(np.exp(log_p).sum(-1))).max() < 1e-5
        np.testing.assert_allclose(result["loss"], found["nll"].mean(), rtol=1e-5)
    expected = helpers.by_prefix(found, "gradient/")
    expected = transformer_xl_weights.embedding_variables(expected, config)
    # Which parts of the gradient of a tied projection are whose does not matter.
    for key, value in gradients(model, variables, targets).items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-4, atol=1e-6, err_msg=key)


def test_equals_torch():
    found, config, arrays = golden("linear", "torch")
    state = helpers.by_prefix(found, "state/")
    head, bias = state["head.weight"], state["head.bias"]
    variables = {
        "logits/projection_0": np.eye(32),
        "logits/kernel_0": head[:20].T,
        "logits/bias_0": bias[:20],
        "logits/cluster_kernel": head[20:].T,
        "logits/cluster_bias": bias[20:],
    }
    for i in (1, 2):
        variables[f"logits/projection_{i}"] = state[f"tail.{i - 1}.0.weight"].T
        variables[f"logits/kernel_{i}"] = state[f"tail.{i - 1}.1.weight"].T
        variables[f"logits/bias_{i}"] = np.zeros(config["cutoffs"][1] - 20 if i == 1 else 47)
    log_p = of_hidden(variables, arrays["hidden"], cutoffs=config["cutoffs"], div_val=2)
    np.testing.assert_allclose(log_p[..., :97], found["log_probs"], rtol=0, atol=1e-5)
    targets = arrays["targets"][:, :, None]
    own = -np.take_along_axis(log_p, targets, -1)[:, :, 0]
    np.testing.assert_allclose(own, found["nll"], rtol=0, atol=1e-5)


def of_hidden(variables, hidden, **settings):
    """Returns log-probabilities of hidden states, from an untied output's variables."""
    import mesh_tensorflow as mtf

    from primer.layers import AdaptiveEmbedding

    size = {"kernel": 1, "bias": 0}
    values = dict(variables)
    for name, value in variables.items():
        axis = size.get(name.removeprefix("logits/").split("_")[0])
        if axis is not None:
            widths = [(0, 0)] * value.ndim
            widths[axis] = (0, -value.shape[axis] % 128)
            values[name] = np.pad(value, widths)
    for i, width in enumerate((32, 16, 8)):
        values[f"embedding_{i}"] = np.zeros([128, width])
        values[f"embedding_projection_{i}"] = np.zeros([width, 32])
    model = without_layers(z_loss=0.0)
    with helpers.bench(variables=values) as b:
        states = b.put(hidden, "batch", "length", "d_model")
        context = helpers.layer_context(b, states)
        context.model = model
        embedding = AdaptiveEmbedding(
            b.mesh,
            model.input_vocab_dim,
            model.model_dim,
            mtf.VariableDType(tf.float32),
            "embedding",
            None,
            tied_embeddings=False,
            tied_projections=False,
            **settings,
        )
        return b.run({"logits": embedding.hidden_to_logits(states, context)})["logits"]


@pytest.mark.parametrize("name", ["transformer_xl", "transformer_xl_adaptive"])
def test_weights_of_transformer_xl(name):
    with np.load(PARITY / f"{name}.npz") as arrays:
        config = ast.literal_eval(str(arrays["config"]))
        state = helpers.by_prefix(arrays, "state/")
    variables = transformer_xl_weights.embedding_variables(state, config)
    bind(**transformer_xl_weights.settings(config))
    size, width = config["vocab_size"], config["d_model"]
    model = without_layers(z_loss=0.0, d_model=width, input_vocab_size=size, output_vocab_size=size)
    targets = RNG.integers(2, size, [2, 6])
    log_p = helpers.call(model, variables, targets)["logits"]
    inputs = np.pad(targets, [(0, 0), (1, 0)])[:, :-1]
    expected = by_numpy(state, config, inputs)
    np.testing.assert_allclose(log_p[..., :size], expected, rtol=0, atol=1e-4)


def by_numpy(state, config, ids):
    """Log-probabilities from the equations, of the embeddings of ids as hidden states."""
    bounds = [0, *config["cutoffs"], config["vocab_size"]]
    weights = [state[f"crit.out_layers.{i}.weight"] for i in range(len(bounds) - 1)]
    pairs = [np.eye(config["d_model"])] * 2
    clusters = range(len(weights))
    into, out = (
        [state.get(f"{name}.{i}", default) for i in clusters]
        for name, default in zip(("transformer.word_emb.emb_projs", "crit.out_projs"), pairs)
    )
    table = np.concatenate([w @ p.T for w, p in zip(weights, into)]) * config["d_model"] ** 0.5
    hidden = table[ids]
    logits = [hidden @ out[i] @ weights[i].T + state[f"crit.out_layers.{i}.bias"] for i in clusters]
    if len(weights) == 1:
        return log_softmax(logits[0])
    of_clusters = hidden @ out[0] @ state["crit.cluster_weight"].T + state["crit.cluster_bias"]
    head = log_softmax(np.concatenate([logits[0], of_clusters], -1))
    first = bounds[1]
    tails = [head[..., first + i - 1, None] + log_softmax(logits[i]) for i in clusters if i]
    return np.concatenate([head[..., :first], *tails], -1)


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.mark.parametrize("mesh_shape, layout", slow.all_but(MESHES[:2], MESHES))
def test_mesh_equals_one_device(mesh_shape, layout):
    """150, 250 and 300 words in tables of 256 to 384 rows, whose parts all have words."""
    bind(**{**DIV_VAL_2, "cutoffs": [150, 400]})
    model = without_layers(z_loss=0.0, input_vocab_size=700, output_vocab_size=700)
    variables = helpers.random_variables(model)
    targets = RNG.integers(2, 700, [4, 16])
    settings = dict(mode="train", gradients=True)
    expected = helpers.call(model, variables, targets, **settings)
    found = helpers.call(
        model, variables, targets, mesh_shape=mesh_shape, layout=layout, **settings
    )
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=0, atol=1e-5)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-6, err_msg=key)


def test_no_token_is_lost_whichever_cluster_has_them_all():
    model = model_of(**DIV_VAL_2)
    variables = helpers.random_variables(model)
    for start, end in ((2, 20), (20, 50), (50, 97)):
        targets = RNG.integers(start, end, [4, 8])
        targets[0, :3] = 0  # Padding has no loss.
        results = [helpers.call(model, variables, targets, mode) for mode in ("eval", "train")]
        log_p = np.take_along_axis(results[0]["logits"], targets[:, :, None], -1)[:, :, 0]
        for result in results:
            expected = -(log_p * (targets > 0)).sum() / targets.size
            np.testing.assert_allclose(result["loss"], expected, rtol=1e-5)


def test_the_shapes_of_tensorflow_1():
    """The engine turns TensorFlow 2 off, whose sizes are numbers; those of TensorFlow 1 are not."""
    model = model_of(**DIV_VAL_2)
    variables = helpers.random_variables(model)
    expected = gradients(model, variables, TARGETS)
    tf.disable_v2_tensorshape()
    try:
        found = gradients(model, variables, TARGETS)
    finally:
        tf.enable_v2_tensorshape()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_bfloat16_log_probabilities_are_float32():
    model = model_of(**DIV_VAL_2)
    variables = helpers.random_variables(model)
    expected = helpers.call(model, variables, TARGETS, mode="train")
    found = helpers.call(model, variables, TARGETS, mode="train", dtype=tf.bfloat16)
    assert np.abs(np.log(np.exp(found["logits"]).sum(-1))).max() < 1e-5
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=0.01)
    assert found["loss"] != tf.bfloat16.as_numpy_dtype(found["loss"])


def test_an_ensemble_is_the_mean_of_its_members():
    bind(**DIV_VAL_2)
    settings = {"z_loss": 0.0, "ensemble": 2}
    model = helpers.build_model("transformer_vanilla", num_layers=1, model=settings)
    variables = helpers.random_variables(model)
    logits = helpers.call(model, variables, TARGETS, mode="train", sequence_id=None)["logits"]
    alone = helpers.build_model("transformer_vanilla", num_layers=1, model={"z_loss": 0.0})
    shared = "relative_attention_bias"
    members = []
    for number in range(2):
        own = {
            name: value if name.endswith(shared) and value.ndim < 3 else value[number]
            for name, value in variables.items()
        }
        members.append(np.exp(helpers.call(alone, own, TARGETS, sequence_id=None)["logits"]))
    np.testing.assert_allclose(np.exp(logits[..., :97]), np.mean(members, 0)[..., :97], rtol=1e-4)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"cutoffs": [20, 97]}, r"cutoffs = \[20, 97\]: expected .* ascend, above 0 and below 97"),
        ({"cutoffs": [50, 20]}, r"cutoffs = \[50, 20\]: expected a list of whole numbers"),
        ({"cutoffs": [20.0]}, r"cutoffs = \[20.0\]"),
        ({"cutoffs": 20}, "cutoffs = 20: expected a list"),
        ({"cutoffs": [20, 50], "div_val": 8}, r"div_val = 8: .* width 32 // 8\*\*2 = 0; set"),
        ({"div_val": 1.5}, "div_val = 1.5: expected a whole number"),
        ({"d_embed": 0}, "d_embed = 0: expected a whole number"),
        (
            {"cutoffs": [20], "tied_projections": [True] * 3},
            r"tied_projections = \[True, True, True\]: expected .* each of the 2 clusters",
        ),
        ({"logit_cap": 30.0}, "logit_cap = 30.0: expected None, because"),
        ({"width_multiplier": 2.0}, "width_multiplier = 2.0: expected None, .* base_width"),
    ],
)
def test_invalid_settings(settings, message):
    with pytest.raises(ValueError, match=f"^AdaptiveEmbedding.{message}"):
        helpers.call(model_of(**settings), None, TARGETS)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"z_loss": 1e-4}, "z_loss = 0.0001 with AdaptiveEmbedding: .*; set z_loss = 0.0$"),
        ({"z_loss": 0.0, "label_smoothing": 0.1}, "label_smoothing = 0.1 with AdaptiveEmbedding"),
        ({"shared_embedding_and_softmax_weights": False}, ".*; set tied_embeddings = False"),
    ],
)
def test_settings_of_the_model_that_do_not_go_with_it(settings, message):
    bind()
    with pytest.raises(ValueError, match=f"^Unitransformer.{message}"):
        helpers.call(without_layers(**settings), None, TARGETS)
