"""Two files of one kind that set the same slot are reported; files that compose are not."""

import pytest

from primer.gin_config import config_files, provenance, shared_slots


def pairs(names, params=()):
    return shared_slots.find_shared_slots(provenance.locate_settings(names, params))


@pytest.fixture
def zoo(write):
    """A model of three parts, and architectures that share slots with it or do not."""
    a = write("architectures/a.gin", "norm = 1\nattention = 1\n")
    b = write("activations/b.gin", "activation = 1\n")
    c = write("sizes/c.gin", "d_model = 1\n")
    include = "".join(f'include "{path}"\n' for path in (a, b, c))
    return {
        "a": a,
        "c": c,
        "x": write("models/x.gin", include),
        "y": write("architectures/y.gin", "block = 1\nnum_blocks = 2\n"),
        "z": write("architectures/z.gin", "norm = 2\n"),
        "over_a": write("architectures/over_a.gin", f'include "{a}"\nnorm = 3\n'),
        "own": write("own.gin", "norm = 9\n"),
        "smoke": write("run/smoke.gin", f'include "{write("sizes/tiny.gin", "d_model = 2")}"'),
    }


def test_the_later_of_two_architectures_is_in_force(zoo):
    (pair,) = pairs([zoo["x"], zoo["z"]])
    assert (pair.kind, pair.slots) == ("architectures", ("norm",))
    assert str(pair) == (
        f"{zoo['a']} and {zoo['z']} both set `norm`; the later one, z.gin, is in force"
    )
    (pair,) = pairs([zoo["z"], zoo["x"]])
    assert (pair.earlier, pair.later) == (zoo["z"], zoo["a"])


def test_files_that_share_no_slot_compose(zoo):
    assert pairs([zoo["x"], zoo["y"]]) == []
    assert pairs([zoo["y"], zoo["x"]]) == []


def test_a_file_given_twice_is_one_file(zoo):
    assert pairs([zoo["x"], zoo["a"], zoo["c"]]) == []


def test_a_file_and_its_includes_of_the_same_kind_are_one_file(zoo):
    assert pairs([zoo["over_a"]]) == []
    (pair,) = pairs([zoo["over_a"], zoo["z"]])
    assert (pair.earlier, pair.later) == (zoo["over_a"], zoo["z"])


def test_overriding_by_an_own_file_or_a_parameter_is_not_reported(zoo):
    assert pairs([zoo["x"], zoo["own"]]) == []
    assert pairs([zoo["x"], zoo["z"], zoo["own"]]) == []
    assert pairs([zoo["x"], zoo["z"]], ["norm = 5"]) == []


def test_a_file_included_by_a_run_file_is_not_reported(zoo):
    assert pairs([zoo["x"], zoo["smoke"]]) == []


def test_many_slots_are_counted(write):
    text = "".join(f"slot_{n} = 1\n" for n in range(6))
    names = [write(f"sizes/{name}.gin", text) for name in "ab"]
    (pair,) = pairs(names)
    assert "`slot_0`, `slot_1`, `slot_2` and 3 more slots;" in str(pair)
    assert len(pair.slots) == 6


@pytest.mark.parametrize("model", config_files.names_of_kind("models"))
def test_no_published_model_sets_a_slot_twice(model):
    assert pairs(config_files.published_model_files(model)) == []


def test_a_published_size_shares_the_slots_of_another_size():
    found = pairs([*config_files.published_model_files("gpt2_124m"), "sizes/small.gin"])
    (pair,) = [pair for pair in found if pair.kind == "sizes"]
    assert (pair.earlier, pair.later) == ("sizes/published/gpt2_124m.gin", "sizes/small.gin")
    assert pairs([*config_files.published_model_files("gpt2_124m"), "run/smoke.gin"]) == []


def test_two_published_models_share_slots():
    found = pairs(["models/defaults.gin", "models/small_primer.gin", "models/medium_primer_ez.gin"])
    assert {pair.kind for pair in found} == {"architectures", "sizes"}
    assert ("sizes/small.gin", "sizes/medium.gin") in {(p.earlier, p.later) for p in found}
