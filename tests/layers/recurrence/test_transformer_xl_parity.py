"""Three segments with memory have the log-probabilities of Hugging Face's Transformer-XL.

The numbers, of transformers 4.35.2, begin with memory of zeros that is seen (`zero_memory`). Both
forms are compared: the segments of one row, and rows that carry a state.
"""

import ast
import dataclasses

import numpy as np
import pytest

from tests import gin_models
from tests.layers import transformer_xl_attention_weights, transformer_xl_weights
from tests.layers.recurrence import recurrent_runs
from tests.paths import PARITY

FILES = ("transformer_xl", "transformer_xl_same_length", "transformer_xl_adaptive")


def model_of(name):
    """Returns (model, variables, arrays, config) of a file, with sizes from its config.

    gin's settings of the last model that was built are those that its calls read.
    """
    with np.load(PARITY / f"{name}.npz", allow_pickle=False) as arrays:
        arrays = dict(arrays)
    config = ast.literal_eval(str(arrays["config"]))
    state = {k.removeprefix("state/"): v for k, v in arrays.items() if k.startswith("state/")}
    slots = {"num_layers": config["n_layer"], "untie_relative_biases": config["untie_r"]}
    clamp = config["clamp_len"] if config["clamp_len"] > 0 else None
    heads = config["n_head"]
    bindings = {
        **slots,
        "num_dense_blocks": config["n_layer"],
        "d_model": config["d_model"],
        "num_heads": heads,
        "d_kv": state["transformer.layers.0.dec_attn.r_net.weight"].shape[0] // heads,
        "d_ff": config["d_inner"],
        "norm_epsilon": config["layer_norm_epsilon"],
        "clamp_length": clamp,
        "memory_length": config["mem_len"],
        "segment_length": config["segment"],
        "same_length": config["same_length"],
        "zero_memory": True,
        "embedding_cutoffs": config["cutoffs"],
        "embedding_div_val": config["div_val"],
        "tied_projections": transformer_xl_weights.tied_projections(config),
    }
    lines = [f"{slot} = {value!r}" for slot, value in bindings.items()]
    lines.append("token_embedding = @AdaptiveEmbedding")
    files = gin_models.files("transformer_xl", "relu")
    model = gin_models.build(files, lines, vocabulary_size=config["vocab_size"])
    variables = transformer_xl_weights.embedding_variables(state, config)
    for weight in transformer_xl_attention_weights.of_stack(slots):
        variables.update(zip(weight.ours, weight.layout.split(state[weight.theirs]), strict=True))
    return model, variables, arrays, config


def compare(log_probs, arrays, config):
    """Compares log-probabilities `[batch, length, padded vocabulary]` with those of a file."""
    size = config["vocab_size"]
    np.testing.assert_allclose(log_probs[..., :size], arrays["log_probs"], rtol=0, atol=1e-4)
    nats = -np.take_along_axis(log_probs, arrays["ids"][:, 1:, None], -1)[..., 0]
    np.testing.assert_allclose(nats, arrays["nll"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", FILES)
def test_segments_of_one_row(name):
    model, variables, arrays, config = model_of(name)
    ids = arrays["ids"]
    compare(
        recurrent_runs.at_once(model, variables, ids[:, 1:], inputs=ids[:, :-1])[0], arrays, config
    )


@pytest.mark.parametrize("name", FILES)
def test_rows_that_carry_a_state(name):
    model, variables, arrays, config = model_of(name)
    ids, segment = arrays["ids"], config["segment"]
    rows = [ids[:, 1:][:, i : i + segment] for i in range(0, ids.shape[1] - 1, segment)]
    found, _ = recurrent_runs.carried(model, variables, rows, first=ids[:, 0])
    compare(found, arrays, config)


def test_memory_of_zeros_is_another_function():
    """In the original memory begins empty: the first segment, and what remembers it, differ."""
    model, variables, arrays, config = model_of("transformer_xl")
    for layer in model.layer_stack.layers:
        if hasattr(layer, "recurrence"):
            layer.recurrence = dataclasses.replace(layer.recurrence, zero_memory=False)
    ids = arrays["ids"]
    found = recurrent_runs.at_once(model, variables, ids[:, 1:], inputs=ids[:, :-1])[0]
    difference = np.abs(found[..., : config["vocab_size"]] - arrays["log_probs"])
    assert difference[:, 0].max() > 1e-2
