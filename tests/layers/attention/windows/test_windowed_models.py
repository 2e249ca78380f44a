"""Models with windowed self-attention: causality, variables, precision, GPT-Neo."""

import ast

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers.attention.windows.windowed import WindowedSelfAttention
from tests.layers import helpers
from tests.layers.attention.windows.windowed_helpers import (
    TARGETS,
    WINDOWED,
    assert_equal,
    layer_settings,
    run,
)
from tests.paths import PARITY


@pytest.mark.parametrize("block_length", [3, 10])
def test_a_position_depends_only_on_its_window(block_length):
    """One layer of radius 3: target 4 is the input of position 5, and changes 5, 6 and 7."""
    attention = {"radius": 3, "block_length": block_length}
    model = helpers.build_model(WINDOWED, attention=attention, num_layers=1)
    variables = helpers.random_variables(model)
    changed = TARGETS.copy()
    changed[:, 4] = 2 + (changed[:, 4] + 1) % 90
    before, after = (
        helpers.call(model, variables, t, sequence_id=None)["logits"] for t in (TARGETS, changed)
    )
    moved = np.abs(before - after).max(axis=(0, 2))
    np.testing.assert_array_equal(moved[[0, 1, 2, 3, 4, 8, 9]], 0)
    assert moved[5:8].min() > 1e-3


def test_a_model_has_the_variables_of_one_with_self_attention():
    """With a window in all layers, and in every second one."""
    plain = helpers.build_model("transformer_vanilla")
    _, variables = helpers.golden("transformer_vanilla")
    expected = helpers.call(plain, variables, TARGETS)["logits"]
    every_second = helpers.build_model("transformer_vanilla")
    layers = every_second.layer_stack._layers
    windowed = WindowedSelfAttention(10, **layer_settings(relative_attention_type="bias_shared"))
    windowed.set_name(layers[2].name)
    layers[2] = windowed
    for model in (helpers.build_model(WINDOWED, attention={"radius": 10}), every_second):
        logits = helpers.call(model, variables, TARGETS)["logits"]
        np.testing.assert_array_equal(logits, expected)


def test_recomputed_gradients_are_the_same():
    attention = {"radius": 3, "block_length": 4}
    values = []
    for recompute in (False, True):
        model = helpers.build_model(
            WINDOWED, attention=attention, num_layers=1, stack={"recompute_grads": recompute}
        )
        variables = helpers.random_variables(helpers.build_model(WINDOWED, num_layers=1))
        values.append(helpers.call(model, variables, TARGETS, "train", gradients=True))
    assert_equal(values[1], values[0])


def test_bfloat16_is_close_to_float32():
    model = helpers.build_model(WINDOWED, attention={"radius": 3, "block_length": 4}, num_layers=1)
    variables = helpers.random_variables(model)
    exact, values = (
        helpers.call(model, variables, TARGETS, "train", dtype=t) for t in (tf.float32, tf.bfloat16)
    )
    np.testing.assert_allclose(values["logits"], exact["logits"], rtol=0, atol=0.5)
    np.testing.assert_allclose(values["loss"], exact["loss"], rtol=0.02)


@pytest.mark.parametrize("setting", [{"autoregressive": False}, {"input_full_attention": True}])
def test_models_that_are_not_autoregressive_raise_errors(setting):
    model = helpers.build_model(WINDOWED, model=setting, num_layers=1)
    with pytest.raises(ValueError, match="the model is not fully autoregressive"):
        helpers.call(model, None, TARGETS)


def layer_norm(x, state, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    return x * state[name + ".weight"] + state[name + ".bias"]


def gpt_neo_attention(x, state, name, heads, window, block_length):
    """Returns our layer's output with the weights of GPT-Neo's, which does not scale its logits."""
    size = x.shape[-1] // heads
    layer = WindowedSelfAttention(window, block_length, num_heads=heads, key_value_size=size)
    weights = {f"layer/{n}": state[f"{name}.{n}_proj.weight"].T for n in "qkv"}
    weights["layer/o"] = state[f"{name}.out_proj.weight"].T
    y = run({"": layer}, x, variables=weights, mode="eval")[""]["y"]
    return y + state[f"{name}.out_proj.bias"]


@pytest.mark.parametrize("block_length", [None, 5])
def test_gpt_neo(block_length):
    """Local layers have a window; logits of Hugging Face's implementation."""
    with np.load(PARITY / "gpt_neo.npz") as arrays:
        arrays = dict(arrays)
    state, ids = helpers.by_prefix(arrays, "state/transformer."), arrays["ids"]
    config = ast.literal_eval(str(arrays["config"]))
    x = state["wte.weight"][ids] + state["wpe.weight"][: ids.shape[1]]
    for i, kind in enumerate(config["attention_layers"]):
        window = config["window_size"] if kind == "local" else ids.shape[1]
        normed = layer_norm(x, state, f"h.{i}.ln_1")
        name = f"h.{i}.attn.attention"
        heads = config["num_heads"]
        x = x + gpt_neo_attention(normed, state, name, heads, window, block_length)
        c_fc, c_proj = (f"h.{i}.mlp.{n}" for n in ("c_fc", "c_proj"))
        h = layer_norm(x, state, f"h.{i}.ln_2") @ state[c_fc + ".weight"].T + state[c_fc + ".bias"]
        h = 0.5 * h * (1 + np.tanh((2 / np.pi) ** 0.5 * (h + 0.044715 * h**3)))
        x = x + h @ state[c_proj + ".weight"].T + state[c_proj + ".bias"]
    logits = layer_norm(x, state, "ln_f") @ arrays["state/lm_head.weight"].T
    np.testing.assert_allclose(logits, arrays["logits"], rtol=0, atol=1e-4)
