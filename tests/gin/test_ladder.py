"""The ladder of sizes: the depth sets all numbers, and rungs have the parameters of their names."""

import itertools
import math
import os

import gin
import pytest

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.errors import UsageError
from primer.gin_config import config_files, dead_bindings, slots, statements
from primer.layers import ladder
from primer.planning import check, parameters
from tests import gin_models, slow

RUNGS = {
    "ladder_3m": (4, 3e6),
    "ladder_10m": (6, 10e6),
    "ladder_25m": (8, 25e6),
    "ladder_50m": (10, 50e6),
    "ladder_85m": (12, 85e6),
    "ladder_200m": (16, 200e6),
    "ladder_400m": (20, 400e6),
    "ladder_700m": (24, 700e6),
    "ladder_1b": (28, 1e9),
}
# Of the name's number: 28 layers have 8% more than a billion.
WITHIN = 0.1
# Architecture -> the kinds of its attention layers, of those that alternate some.
KINDS = {name: gin_models.architecture_slots(name)["attention_kinds"] for name in gin_models.BASES}
PATTERNED = {name: kinds for name, kinds in KINDS.items() if kinds and len(kinds) > 1}


def without_tables(shapes):
    """Returns the number of parameters outside the tables of tokens and positions."""
    tables = ("embedding", "logits/kernel")
    return sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(tables))


def rung_of(name):
    path = os.path.join(config_files.gin_directory(), config_files.gin_file("sizes", name))
    return statements.parse_file(path)


def test_a_rung_is_the_ladder_and_a_depth():
    found = [name for name in config_files.names_of_kind("sizes") if name.startswith("ladder_")]
    assert sorted(found) == sorted(RUNGS)
    for name, (depth, _) in RUNGS.items():
        include, number = rung_of(name)
        assert include.filename == "sizes/ladder.gin"
        assert (statements.macro_name(number), number.value) == ("depth", depth)


def test_every_rung_has_an_even_number_of_layers():
    """gpt_neo and gemma2 alternate two kinds of attention."""
    assert {"gpt_neo", "gemma2"} <= set(PATTERNED)
    assert {len(kinds) for kinds in PATTERNED.values()} == {2}
    assert all(depth % 2 == 0 for depth, _ in RUNGS.values())


def test_the_numbers_are_those_of_the_other_sizes():
    assert gin_models.size_numbers("ladder").keys() == gin_models.size_numbers("tiny").keys()


@pytest.mark.parametrize("name", slow.all_but(["ladder_3m"], RUNGS))
@pytest.mark.parametrize(
    "architecture, activation", [("transformer", "relu"), ("gpt2", "gelu"), ("llama", "swiglu")]
)
def test_a_rung_has_the_parameters_of_its_name(architecture, activation, name, load):
    load(config_files.composition_files(architecture, activation, name))
    depth, expected = RUNGS[name]
    count = without_tables(parameters.parameter_shapes(97))
    assert abs(count / expected - 1) < WITHIN
    # Biases, norms, and the rounding of a gated unit's width.
    assert abs(count / (49_152 * depth**3) - 1) < 0.02


@pytest.mark.parametrize("name", slow.all_but(["ladder_3m"], RUNGS))
@pytest.mark.parametrize("architecture", PATTERNED)
def test_every_rung_builds_with_two_kinds_of_attention(architecture, name, load):
    load(config_files.composition_files(architecture, "swiglu", name))
    assert parameters.count_parameters(97) > 0


@pytest.mark.parametrize("files", [["sizes/ladder.gin"], ["sizes/ladder_700m.gin"]])
def test_a_depth_on_the_command_line_is_in_force_in_any_order(files, load):
    parts = ["architectures/llama.gin", "activations/swiglu.gin", *files]
    for order in itertools.permutations(parts):
        load([config_files.MODEL_DEFAULTS, *order], ["depth = 7"])
        shapes = parameters.parameter_shapes(97)
        assert shapes["transformer/embedding"][-1] == 448
        assert sum(name.endswith("SelfAttention/o") for name in shapes) == 7
        hidden = {shape for name, shape in shapes.items() if name.endswith("/wi_0/kernel")}
        assert hidden == {(448, ladder.ladder_sizes(7)["d_ff_gated"])}


def test_a_binding_of_a_single_size_overrides_the_ladder(load):
    load(config_files.composition_files("llama", "swiglu", "ladder_3m"), ["d_ff_gated = 40"])
    shapes = parameters.parameter_shapes(97)
    assert {shape for name, shape in shapes.items() if name.endswith("/wi_0/kernel")} == {(256, 40)}


@pytest.mark.parametrize("depth", ["0", "2.5", "'12'"])
def test_a_depth_that_is_no_number_of_layers_is_one_clear_line(depth):
    files = config_files.composition_files("llama", "swiglu", "ladder")
    with pytest.raises(UsageError) as error:
        check.check_gin_files(files, [f"depth = {depth}"], 97)
    assert f"depth = {depth}: expected a whole number of layers" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_report_has_the_numbers_and_no_finding():
    files = config_files.composition_files("transformer", "relu", "ladder_3m")
    result = check.check_gin_files(files, [], 97)
    assert result.slots["depth"] == ("4", None, "sizes/ladder_3m.gin:5")
    assert result.slots["d_model"][:2] == ("@d_model/ladder_size()", "256")
    assert result.slots["num_dense_blocks"][:2] == ("%num_layers", "4")
    assert result.slots["width"][:2] == ("%d_model", "256")
    assert not result.findings.own and not result.findings.shared


def test_a_saved_configuration_has_the_depth_and_its_numbers(load):
    load(config_files.composition_files("transformer", "relu", "ladder_3m"))
    parameters.count_parameters(97)
    text = slots.with_slot_header(gin.operative_config_str())
    assert "# d_model = @d_model/ladder_size() = 256\n" in text
    assert "depth = 4\n" in text and "ladder_size.depth = %depth" in text
    before = dead_bindings.called_selectors()
    slots.resolve_references(slots.values_in_force())
    assert dead_bindings.called_selectors() == before


def test_the_depth_of_another_size_has_no_effect(load):
    load(config_files.composition_files("transformer", "relu", "tiny"), ["depth = 7"])
    parameters.count_parameters(97)
    assert ("", "primer.layers.ladder.ladder_size", "depth") in {
        dead.key for dead in dead_bindings.find_dead_bindings()
    }
