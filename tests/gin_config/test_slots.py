"""The slots are in the order of their declaration; an operative configuration begins with them."""

import gin

from primer.gin_config import config_files, slots, statements
from tests import gin_models

FILES = config_files.composition_files("primer", "swiglu", "tiny")


def test_the_order_is_that_of_defaults_gin():
    gin_models.parse(FILES)
    path = f"{config_files.gin_directory()}/defaults.gin"
    declared = list(statements.macros_set(path))
    found = list(slots.values_in_force())
    assert [name for name in found if name in declared] == [n for n in declared if n in found]
    assert set(statements.macros_set(f"{config_files.gin_directory()}/sizes/tiny.gin")) <= set(
        found
    )


def test_values_are_those_in_force_and_references_are_resolved():
    gin_models.parse(FILES, ["num_layers = 5", "attention = @SelfAttention"])
    found = slots.values_in_force()
    assert found["num_layers"] == "5" and found["attention"] == "@SelfAttention"
    resolved = slots.resolve_references(found)
    assert resolved["num_dense_blocks"] == "5" and "num_layers" not in resolved


def test_macros_that_refer_to_each_other_are_resolved_once():
    assert slots.resolve_references({"a": "%b", "b": "%a"}) == {"a": "%a", "b": "%b"}


def test_a_slot_that_nothing_sets_is_unset_and_has_no_value():
    gin_models.parse(FILES[:-1])
    assert {"d_model", "num_heads"} <= set(slots.unset_macros())
    assert not set(slots.unset_macros()) & set(slots.values_in_force())
    gin_models.parse(FILES)
    assert slots.unset_macros() == []


def test_gin_reads_the_same_from_a_configuration_with_slots():
    gin_models.parse(FILES)
    text = gin.config_str()
    opened = slots.with_slot_header(text)
    assert opened.startswith(slots.HEAD) and opened.endswith(text)
    assert "# norm = @sublayer_primer_norm\n" in opened
    assert "# num_dense_blocks = %num_layers = 2\n" in opened
    assert opened.index("# attention =") < opened.index("# norm =") < opened.index("# d_model =")
    before = dict(gin.config._CONFIG)
    gin.clear_config()
    gin.parse_config(opened)
    assert gin.config._CONFIG == before


def test_the_header_is_added_once():
    gin_models.parse(FILES)
    opened = slots.with_slot_header(gin.config_str())
    assert slots.with_slot_header(opened) == opened


def test_nothing_is_added_without_a_slot():
    assert slots.with_slot_header("a = 1\n") == "a = 1\n"
