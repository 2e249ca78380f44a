"""LoRA in a model: the same function at first, and that of its merged weights after training."""

import gin
import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.common import build_mode
from primer.errors import UsageError
from primer.generation.step_graph import StepGraph
from primer.parametrization import lora, lora_weights
from primer.planning import run_graph
from tests import slow
from tests.evaluation import small_checkpoints, tiny

LORA = ["lora_rank = 3", "lora_targets = ['.*']", "lora_alpha = 5.0"]
# Architecture -> what it is configured with besides.
MODELS = {
    "primer": (),
    "llama": ("num_memory_heads = 1", "d_ff_gated = 24"),
    "fastmoe": ("num_experts = 4", "num_switch_blocks = 2"),
    "switch": ("num_experts = 4", "num_switch_blocks = 2"),
    "evolved_transformer": ("num_evolved_blocks = 1",),
    "synthesizer": ("max_length = 16",),
    "transformer_xl": ("memory_length = 8",),
}


def configure(name):
    if name in ("fastmoe", "switch"):
        tiny.configure("transformer", "relu")
        gin.parse_config(f"include 'architectures/{name}.gin'")
    else:
        tiny.configure(name, "swiglu" if name == "llama" else "relu")
    gin.parse_config([*MODELS[name], *LORA])


@pytest.mark.parametrize("name", slow.all_but(lambda name: name == "primer", list(MODELS)))
def test_it_is_the_model_of_its_merged_weights(tmp_path, name):
    configure(name)
    ids = np.random.default_rng(0).integers(3, tiny.VOCABULARY, [3, tiny.LENGTH])
    path, at_first = tiny.save_and_logits(tmp_path, ids)
    values = small_checkpoints.load(path)
    wrapped = lora_weights.wrapped(values)
    generator = np.random.default_rng(1)
    for weight in wrapped:
        assert not values[weight + lora_weights.B].any()
        a = values[weight + lora_weights.A]
        limit = a.shape[-2] ** -0.5
        assert 0.5 * limit < abs(a).max() <= limit
        b = values[weight + lora_weights.B]
        values[weight + lora_weights.B] = 0.1 * generator.standard_normal(b.shape, np.float32)
    path = small_checkpoints.save(tmp_path, 2, values)
    _, trained = tiny.save_and_logits(tmp_path, ids, step=3, weights=path)
    graph = StepGraph(tiny.model(), 3, tiny.LENGTH)
    graph.restore(path)
    graph.read_prompts([row[:5] for row in ids])
    for place in range(5, tiny.LENGTH):
        found = graph.next_logits(ids[:, place - 1], np.full([3], place))
        np.testing.assert_allclose(found, trained[:, place], rtol=1e-4, atol=1e-4)
    graph.close()

    merged = lora_weights.merged(values, alpha=5.0)
    gin.parse_config("lora_rank = 0")
    _, without = tiny.save_and_logits(tmp_path, ids, step=4, weights=path)
    np.testing.assert_array_equal(without, at_first)
    path = small_checkpoints.save(tmp_path, 5, merged)
    _, found = tiny.save_and_logits(tmp_path, ids, step=6, weights=path)
    np.testing.assert_allclose(found, trained, rtol=1e-5, atol=1e-5)
    assert abs(trained - at_first).max() > 1e-2


def test_targets_are_the_ends_of_names():
    found = lora.lora(rank=2, targets=["q", "wi.*", "block_000/.*"])
    names = ("block_001/layer_000/MDHA/q", "a/wi/kernel", "a/wi_0/kernel", "block_000/x/o")
    assert all(map(found.is_target, names))
    assert not any(map(found.is_target, ("a/q_solo_project/kernel", "a/wo/kernel", "b/seq")))
    assert (found.alpha, lora.lora(rank=4, alpha=2.0).scale, lora.lora()) == (4.0, 0.5, None)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"rank": -1}, "lora.rank = -1"),
        ({"rank": 2, "targets": "q"}, "lora.targets = 'q': expected a list"),
        ({"rank": 2, "targets": ["("]}, "lora.targets"),
        ({"rank": 2, "alpha": 0}, "lora.alpha = 0"),
        ({"rank": 2, "dropout": 1.0}, "lora.dropout = 1.0"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        lora.lora(**settings)


def forward(*bindings):
    """The model and the graph of a transformer with one block."""
    tiny.configure("transformer", "relu")
    length = 'utils.run.sequence_length = {"inputs": 1, "targets": 16}'
    gin.parse_config(["run.model_type = 'lm'", length, "num_layers = 1", *bindings])
    return run_graph.build_forward(tiny.VOCABULARY)


def test_a_target_without_a_weight_is_refused_with_those_that_there_are():
    with pytest.raises(UsageError, match="'query' is the weight of no dense layer; there are q, k"):
        forward("lora_rank = 2", "lora_targets = ['q', 'query']")


def test_the_cost_tells_trained_and_frozen_weights_apart():
    model, graph = forward("lora_rank = 2")
    cost = run_graph.cost_of(model, graph)
    assert cost.parameters.trained == 2 * (16 * 2 + 2 * 16)
    assert cost.frozen_flops == {
        "block_000/layer_000": 2 * 4 * 16 * 16,
        "block_000/layer_001": 2 * 2 * 16 * 32,
        "logits": 2 * 16 * tiny.VOCABULARY,
    }
    assert cost.training == 3 * cost.forward - sum(cost.frozen_flops.values())
    assert cost.as_result()["parameters_trained"] == 128
    model, graph = forward("lora_rank = 0")
    before = run_graph.cost_of(model, graph)
    assert (before.frozen_flops, before.parameters.frozen) == ({}, 0)
    products = {"block_000/layer_000": 2 * 2 * 2 * (16 * 2 + 2 * 16) / 2}
    assert cost.forward - before.forward == sum(products.values())


def test_training_drops_inputs_of_its_factors_alone():
    with build_mode.building("train"):
        _, graph = forward("lora_rank = 2", "lora_dropout = 0.5")
    draws = [op for op in graph.operations if isinstance(op, mtf.RandomOperation)]
    assert len(draws) == 2 and all("SelfAttention" in op.name for op in draws)
    assert all(lora_weights.is_factor(v.name) for v in graph.trainable_variables)
    _, graph = forward("lora_rank = 2", "lora_dropout = 0.5")
    assert not any(isinstance(op, mtf.RandomOperation) for op in graph.operations)
