"""Training with memory has the losses and gradients of Hugging Face's Transformer-XL.

Its numbers are in golden/transformer_xl_training.npz; golden/transformer_xl_training.py says how
they were made.
"""

import ast
import functools

import numpy as np
import pytest

from primer.convert.huggingface.weights import converted
from tests import gin_models
from tests.layers import helpers, transformer_xl_attention_weights, transformer_xl_weights
from tests.layers.recurrence import recurrent_runs
from tests.paths import GOLDEN


@functools.cache
def golden():
    """Returns the arrays, and the settings of Hugging Face's model."""
    with np.load(GOLDEN / "transformer_xl_training.npz") as arrays:
        arrays = dict(arrays)
    return arrays, ast.literal_eval(str(arrays["config"]))


def model_of(config, **slots):
    """Builds our model with the settings of Hugging Face's."""
    slots = {
        "d_model": config["d_model"],
        "num_heads": config["n_head"],
        "d_kv": config["d_head"],
        "d_ff": config["d_inner"],
        "num_layers": config["n_layer"],
        "clamp_length": config["clamp_len"],
        "untie_relative_biases": config["untie_r"],
        "memory_length": config["mem_len"],
        "same_length": config["same_length"],
        "carry_memory": True,
        "zero_memory": True,
        "token_embedding": "@AdaptiveEmbedding",
        "embedding_cutoffs": config["cutoffs"],
        "embedding_div_val": config["div_val"],
        **slots,
    }
    bindings = [f"{name} = {value}" for name, value in slots.items()]
    files = gin_models.files("transformer_xl", "relu")
    return gin_models.build(files, bindings, vocabulary_size=config["vocab_size"])


def as_ours(arrays, config):
    """Returns weights, or gradients, under the names of our variables."""
    ends = ("transformer.word_emb.", "crit.")
    table = {name: array for name, array in arrays.items() if name.startswith(ends)}
    table["crit.out_layers.0.weight"] = table["transformer.word_emb.emb_layers.0.weight"]
    slots = {"num_layers": config["n_layer"], "untie_relative_biases": config["untie_r"]}
    stack = {name: array for name, array in arrays.items() if name not in table}
    weights = transformer_xl_attention_weights.of_stack(slots)
    found = transformer_xl_weights.embedding_variables(table, config)
    return {**found, **converted(weights, stack, rows=0)}


@functools.cache
def trained(run):
    """Returns for each segment our logits, loss and gradients."""
    arrays, config = golden()
    rows = list(np.moveaxis(arrays["targets"], 1, 0))  # [batch, positions] each
    variables = as_ours(helpers.by_prefix(arrays, "state/"), config)
    return recurrent_runs.each_row(
        model_of(config),
        variables,
        rows,
        mode="train",
        gradients=True,
        learning_rate=float(arrays[f"{run}/rate"]),
    )


@pytest.mark.parametrize("run", ["constant", "steps"])
def test_losses(run):
    expected = golden()[0][f"{run}/loss"]
    found = [values["loss"] for values in trained(run)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("run", ["constant", "steps"])
def test_gradients(run):
    """A memory outlives a step: it is of the weights before it."""
    for segment, found in enumerate(trained(run)):
        check(found, golden_gradients(run, segment), f"segment {segment}")


def test_gradients_of_segments_of_a_row():
    """Without a state, memory is the stream of the row, whose gradient stops."""
    arrays, config = golden()
    targets = arrays["targets"]
    model = model_of(config, carry_memory=False, segment_length=targets.shape[2])
    variables = as_ours(helpers.by_prefix(arrays, "state/"), config)
    row = targets.reshape(len(targets), -1)  # [batch, all positions]
    _, found = recurrent_runs.at_once(model, variables, row, "train", gradients=True)
    segments = [golden_gradients("constant", i) for i in range(targets.shape[1])]
    mean = {name: np.mean([s[name] for s in segments], axis=0) for name in segments[0]}
    check(found, mean, "mean of the segments")


def golden_gradients(run, segment):
    arrays, config = golden()
    return as_ours(helpers.by_prefix(arrays, f"{run}/gradient/{segment}/"), config)


def check(found, expected, message):
    assert set(found) - {"logits", "loss"} == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(
            found[name], value, rtol=1e-4, atol=1e-6, err_msg=f"{name}, {message}"
        )
