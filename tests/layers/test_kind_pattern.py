"""Patterns of attention kinds: GPT-Neo's notation, coverage of the layers, layers left out."""

import gin
import pytest
from mesh_tensorflow.transformer import transformer_layers

from primer.layers import MDHA, MultiHeadAttention, WindowedSelfAttention
from primer.layers.kind_pattern import NoLayer, expand, with_kinds
from primer.planning import parameters
from tests import gin_models

DENSE = transformer_layers.DenseReluDense


def test_gpt_neos_notation():
    assert expand([[["global", "local"], 2]]) == ["global", "local"] * 2
    assert expand(["global", [["local"], 3]]) == ["global", "local", "local", "local"]
    assert expand("local") == ["local"]


@pytest.mark.parametrize("pattern", [[], ["conv"], [["global", 0]], [[["global"], "2"]], [1]])
def test_other_patterns_are_refused(pattern):
    with pytest.raises(ValueError, match=r"attention_kinds = .*expected a list of kinds"):
        expand(pattern)


def test_layers_take_the_kinds_in_turn():
    """Also in a block of several attention layers, and one with settings of its own."""
    block = [MDHA, DENSE, [MultiHeadAttention, {"num_heads": 2}], DENSE]
    made = with_kinds(block, ["global", "local", "linear"], 3)
    assert made[1] is DENSE
    layers = [layer for _ in range(3) for layer in (made[0](), made[2][0](**made[2][1]))]
    assert [layer.kind for layer in layers] == ["global", "local", "linear"] * 2
    assert [type(layer) for layer in layers] == [MDHA, MultiHeadAttention] * 3
    assert layers[1].num_heads == 2


def test_without_a_pattern_the_class_decides():
    block = [WindowedSelfAttention, DENSE]
    assert with_kinds(block, None, 7) is block
    assert WindowedSelfAttention().kind == "local"
    assert with_kinds(block, ["global"], 7)[0]().kind == "global"


def test_a_pattern_covers_the_layers():
    block = [MultiHeadAttention, DENSE]
    with pytest.raises(ValueError, match=r"2 kinds do not cover 3 attention layers \(1 in each"):
        with_kinds(block, ["global", "local"], 3)
    with pytest.raises(ValueError, match="SelfAttention has no kinds"):
        with_kinds([transformer_layers.SelfAttention, DENSE], ["global"], 2)


def test_none_is_no_layer():
    made = with_kinds([MultiHeadAttention, DENSE], ["none", "local"], 2)[0]
    assert isinstance(made(), NoLayer)
    assert made().kind == "local"


def test_gin_builds_the_pattern():
    files = gin_models.files("transformer", "relu")
    model = gin_models.build(files, ['attention_kinds = ["local", "global"]', "window = 3"])
    attention = [layer for layer in model.layer_stack.layers if hasattr(layer, "kind")]
    assert [(layer.kind, layer.window) for layer in attention] == [("local", 3), ("global", 3)]


def test_the_kinds_do_not_change_the_variables():
    """So that a checkpoint of one pattern loads into another."""
    shapes = []
    for pattern in (None, ["local", "global"]):
        gin_models.parse(gin_models.files("transformer", "relu"), [f"attention_kinds = {pattern}"])
        gin.finalize()
        shapes.append(parameters.parameter_shapes(97))
    assert shapes[0] == shapes[1]
