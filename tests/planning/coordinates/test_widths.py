"""Sizes at other widths: all grow in one ratio, and each is a whole number."""

import pytest

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.planning.coordinates import widths
from tests import gin_models


def parse(*bindings, size="tiny", architecture="transformer"):
    gin_models.parse(config_files.composition_files(architecture, "relu", size), bindings)


def numbers(width):
    return dict(text.split(" = ") for text in widths.bindings_at(width))


def test_all_sizes_but_the_channels_of_a_head_grow():
    parse()
    found = numbers(64)
    assert found == {
        "d_model": "64",
        "d_ff": "128",
        "d_ff_gated": "88",
        "num_heads": "8",
        "d_model_narrow": "48",
        "d_ff_12x": "576",
        "d_ff_12x_gated": "384",
    }


def test_sizes_that_a_ladder_computes_grow_too():
    parse("depth = 2", size="ladder")
    assert numbers(256)["d_ff"] == "1024"
    assert numbers(256)["num_heads"] == "4"


@pytest.mark.parametrize(("heads", "expected"), [(0, None), (1, None), (2, "4")])
def test_heads_of_keys_grow_unless_all_share_one(heads, expected):
    parse(f"num_memory_heads = {heads}")
    assert numbers(64).get("num_memory_heads") == expected


def test_by_default_there_are_four_powers_of_two():
    parse()
    assert widths.default_widths() == [16, 32, 64, 128]
    parse("num_heads = 1")
    assert widths.default_widths() == [32, 64, 128, 256]


def test_a_size_that_would_be_no_whole_number_is_refused():
    parse()
    message = "--widths 60: d_ff_gated = 44 at d_model = 32 would be 82.5; give multiples of 8"
    with pytest.raises(UsageError, match=message):
        widths.bindings_at(60)


@pytest.mark.parametrize("chosen", [[], [64], [64, 64], [0, 64]])
def test_less_than_two_widths_are_refused(chosen):
    with pytest.raises(UsageError, match="--widths .*: expected two or more different values"):
        widths.checked(chosen)
