"""The layers of a model are in order, with every variable once; equal blocks are grouped."""

import math

import pytest

from primer.gin_config import config_files
from primer.planning import run_graph, structure
from tests import gin_models


def groups(files, bindings=()):
    gin_models.parse(files, bindings)
    model, graph = run_graph.build_forward(97)
    return structure.layer_groups(model, graph, run_graph.cost_of(model, graph))


MODELS = [(name, None) for name in gin_models.BASES]
MODELS += [composition for composition in gin_models.compositions() if composition[1]][:1]


@pytest.mark.parametrize("composition", gin_models.as_params(MODELS, lambda composition: True))
def test_every_variable_is_counted_once(composition):
    gin_models.parse(
        gin_models.files(composition[0], overlay=composition[1]),
        ["num_layers = 4", "num_switch_blocks = 2", "num_evolved_blocks = 2"],
    )
    model, graph = run_graph.build_forward(97)
    sizes = {v.name: math.prod(v.shape.to_integer_list) for v in graph.trainable_variables}
    found = structure.layer_groups(model, graph, run_graph.cost_of(model, graph))
    parts = structure.parameters_by_part(found)
    assert sum(parts.values()) == sum(sizes.values())
    assert parts["embedding"] == sizes["transformer/embedding"]
    times = [group.times for group in found if group.first]
    assert sum(times) >= 2 and len(times) < sum(times)


def test_the_blocks_of_primer():
    found = groups(
        config_files.composition_files("primer", "squared_relu", "tiny"), ["num_layers = 3"]
    )
    assert [(group.name, group.times) for group in found] == [
        ("", 1),
        ("block_000-002", 3),
        ("", 1),
    ]
    before, block, after = found
    assert [layer.name for layer in before.layers] == ["embedding"]
    assert [(layer.name, layer.kind) for layer in block.layers] == [
        ("layer_000", "MDHA"),
        ("layer_001", "DenseReluDense"),
    ]
    assert [layer.name for layer in after.layers] == ["primer_norm", "logits"]
    variables = {v.name: v for v in block.layers[0].variables}
    assert variables["MDHA/q"].shape == {"d_model": 32, "heads": 32}
    assert variables["MDHA/q"].shape_text() == "[d_model 32, heads 32]"
    assert variables["MDHA/q"].times == 3
    # All layers of the stack share it.
    assert variables["MDHA/relative_attention_bias"].times == 1


def test_layers_without_blocks_are_not_grouped():
    """Without block scopes the layers are numbered through, and no two groups are equal."""
    files = config_files.composition_files("transformer", "relu", "tiny")
    found = groups(files, ["make_layer_stack.block_scope = False"])
    assert [group.name for group in found] == [""]
    names = [layer.name for layer in found[0].layers]
    assert names[:5] == ["embedding", "layer_000", "layer_001", "layer_002", "layer_003"]


def test_the_layers_have_the_flops_of_the_model():
    files = config_files.composition_files("primer", "squared_relu", "tiny")
    gin_models.parse(files, ["num_layers = 3"])
    model, graph = run_graph.build_forward(97)
    cost = run_graph.cost_of(model, graph)
    found = structure.layer_groups(model, graph, cost)
    flops = [number for group in found for layer in group.layers for number in layer.flops]
    assert sum(flops) == cost.forward and len(flops) == 3 * 2 + 1


def test_each_of_the_equal_blocks_has_its_flops():
    """Windows change the FLOPs and no variable."""
    blocks = [structure.Layer("layer_000", "Attention", [], [flops]) for flops in (8.0, 4.0)]
    group = structure.Group("block_000", "block_000", 1, blocks[:1])
    assert group.add_if_equal("block_001", blocks[1:])
    assert group.layers[0].flops == [8.0, 4.0]


def test_an_untied_output_has_its_table_and_its_flops_in_one_layer():
    files = config_files.composition_files("transformer", "relu", "tiny")
    (logits,) = (
        layer
        for layer in groups(files, ["tied_embeddings = False"])[-1].layers
        if layer.name == "logits"
    )
    assert [v.name for v in logits.variables] == ["kernel"] and logits.flops == [2 * 32 * 97]
