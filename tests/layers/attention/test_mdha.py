"""Multi-DConv-head attention: causality, settings, precision, errors."""

import dataclasses

import gin
import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer import layers
from primer.layers import MDHA
from tests.layers import helpers

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(2, 97, [2, 8])


def logits(model, variables, targets=TARGETS):
    return helpers.call(model, variables, targets, sequence_id=None)["logits"]


@pytest.mark.parametrize("name", sorted(helpers.ARCHITECTURES))
def test_no_position_depends_on_later_ones(name):
    """Logits at t are for targets[t], given the targets before it."""
    model, variables = helpers.golden_model(name)
    before = logits(model, variables)
    changed = TARGETS.copy()
    changed[:, 4] = 2 + (changed[:, 4] + 1) % 90
    after = logits(model, variables, changed)
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert np.abs(before[:, 5:] - after[:, 5:]).max(axis=(0, 2)).min() > 1e-3


@pytest.mark.parametrize("share", [False, True])
def test_combine_dims_does_not_change_the_function(share):
    """Without combine_dims the original convolved across the heads."""
    settings = {"share_qk_rep": share}
    model = helpers.build_model("primer_ez", attention=settings, num_layers=1)
    variables = helpers.random_variables(model)
    split = helpers.build_model(
        "primer_ez", attention={**settings, "combine_dims": False}, num_layers=1
    )
    shapes = {name: v.shape for name, v in helpers.random_variables(split).items()}
    assert shapes["transformer/block_000/layer_000/MDHA/v_dconv/conv_1"] == (4, 8)
    reshaped = {name: variables[name].reshape(shape) for name, shape in shapes.items()}
    values = [logits(*args) for args in ((model, variables), (split, reshaped))]
    np.testing.assert_allclose(values[1], values[0], rtol=0, atol=1e-5)


def test_fewer_memory_heads_equal_repeated_heads():
    """One memory head for four heads computes the same as four equal memory heads."""
    one = helpers.build_model("primer_ez", attention={"num_memory_heads": 1}, num_layers=1)
    variables = helpers.random_variables(one)
    many = helpers.build_model("primer_ez", num_layers=1)
    memory = ("k", "k_", "v", "v_")  # k, k_dconv/conv_0 ...
    repeated = {
        name: np.tile(value, 4) if name.split("MDHA/")[-1][:2] in memory else value
        for name, value in variables.items()
    }
    values = [logits(*args) for args in ((one, variables), (many, repeated))]
    np.testing.assert_allclose(values[1], values[0], rtol=0, atol=1e-4)


def test_shared_keys_and_values_are_convolved():
    """One convolved projection for both equals two with the same weights and taps."""
    shared = helpers.build_model("primer_ez", attention={"shared_kv": True}, num_layers=1)
    variables = helpers.random_variables(shared)
    apart = helpers.build_model("primer_ez", num_layers=1)
    copies = {
        name: value for name, value in variables.items() if not name.split("MDHA/")[-1][:2] == "kv"
    }
    for name in set(variables) - set(copies):
        for one in "kv":
            copies[name.replace("MDHA/kv", f"MDHA/{one}")] = variables[name]
    values = [logits(*args) for args in ((shared, variables), (apart, copies))]
    np.testing.assert_allclose(values[1], values[0], rtol=0, atol=1e-5)


def test_kernel_size_one_scales_the_projections():
    plain, variables = helpers.golden_model("transformer_vanilla")
    relu = dataclasses.replace(helpers.ARCHITECTURES["primer_ez"], activation="relu")
    model = helpers.build_model(relu, attention={"kernel_size": 1}, num_layers=1)
    mdha = {k.replace("SelfAttention", "MDHA"): v for k, v in variables.items()}
    for name in "qkv":
        conv = f"transformer/block_000/layer_000/MDHA/{name}_dconv/conv_0"
        mdha[conv] = np.full([32], 2.0, np.float32)
    scaled = dict(variables)
    for name in variables:
        if name[-2:] in ("/q", "/k", "/v"):
            scaled[name] = 2 * variables[name]
    np.testing.assert_allclose(logits(model, mdha), logits(plain, scaled), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"use_hyperprompt": True}, "MDHA does not support hyper-prompts"),
        ({"hyperprompt_length_decoder": 4}, "MDHA does not support hyper-prompts"),
        ({"hyperprompt_length_encoder": 4}, "MDHA does not support hyper-prompts"),
        ({"kernel_size": 0}, "MDHA.kernel_size = 0: expected the number of taps"),
        ({"kernel_size": 2.5}, "MDHA.kernel_size = 2.5: expected the number of taps"),
        ({"share_qk_rep": True, "shared_kv": True}, "share_qk_rep and MDHA.shared_kv"),
        ({"rescale_shared_keys": True}, "MDHA.share_qk_rep is False"),
    ],
)
def test_invalid_settings_raise_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        MDHA(**settings)


def test_gin_binds_settings_of_self_attention():
    gin.parse_config(["SelfAttention.num_heads = 3", "MDHA.kernel_size = 5"])
    layer = MDHA()
    assert (layer.num_heads, layer.kernel_size) == (3, 5)


@pytest.mark.parametrize("name", ["primer", "primer_ez"])
def test_recomputed_gradients_are_the_same(name):
    values = []
    for recompute in (False, True):
        model, variables = helpers.golden_model(name, stack={"recompute_grads": recompute})
        ids = np.where(np.arange(8) < 3, 1, 2) + np.zeros([2, 1], int)
        values.append(
            helpers.call(model, variables, TARGETS, "train", sequence_id=ids, gradients=True)
        )
    for key, value in values[0].items():
        np.testing.assert_allclose(values[1][key], value, rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", ["primer", "primer_ez"])
def test_bfloat16_is_close_to_float32(name):
    model, variables = helpers.golden_model(name)
    settings = dict(mode="train", gradients=True)
    exact = helpers.call(model, variables, TARGETS, **settings)
    values = helpers.call(model, variables, TARGETS, dtype=tf.bfloat16, **settings)
    assert all(np.isfinite(value).all() for value in values.values())
    np.testing.assert_allclose(values["logits"], exact["logits"], rtol=0, atol=0.5)
    np.testing.assert_allclose(values["loss"], exact["loss"], rtol=0.02)
    for key, norm in helpers.by_prefix(exact, "gradnorm/").items():
        if "relative_attention_bias" not in key:
            np.testing.assert_allclose(values["gradnorm/" + key], norm, rtol=0.2, err_msg=key)


def test_variables_are_float32_whatever_the_activations_are():
    model = helpers.build_model("primer", num_layers=1)
    with helpers.bench() as b:
        ids = b.put(TARGETS.astype(np.int32), "batch", "length")
        dtype = mtf.VariableDType(tf.float32, tf.float32, tf.bfloat16)
        model.call_simple(
            inputs=ids, targets=ids, compute_loss=False, mode="eval", variable_dtype=dtype
        )
        assert {v.dtype.base_dtype for v in tf.global_variables()} == {tf.float32}


def test_convolution_crosses_texts():
    """Each text sees the end of the one before, as in one text: convolution_crosses_texts.

    Attention stays within texts: of the rows, only the first two positions of a text differ.
    """
    model, variables = helpers.golden_model("primer_ez")
    targets = RNG.integers(2, 97, [1, 8])
    ids = np.array([[1, 1, 1, 1, 2, 2, 2, 2]])
    crossing, _ = helpers.golden_model("primer_ez", attention={"crosses_texts": True})
    apart, found = (
        helpers.call(m, variables, targets, sequence_id=ids)["logits"] for m in (model, crossing)
    )
    np.testing.assert_allclose(found[:, :4], apart[:, :4], rtol=0, atol=1e-6)
    assert np.abs(found - apart)[:, 4:].max(axis=(0, 2)).min() > 1e-3
    # What the first text is matters to the second one.
    changed = targets.copy()
    changed[:, 2] = 2 + (changed[:, 2] + 1) % 90
    for m, differs in ((model, False), (crossing, True)):
        before, after = (
            helpers.call(m, variables, t, sequence_id=ids)["logits"][:, 4:]
            for t in (targets, changed)
        )
        assert (np.abs(before - after).max() > 1e-4) == differs


def test_a_memory_excludes_convolutions_across_texts():
    gin.parse_config("segment_recurrence.memory_length = 8")
    with pytest.raises(ValueError, match="MDHA.crosses_texts = True and memory_length is set"):
        MDHA(crosses_texts=True, recurrence=layers.segment_recurrence())
