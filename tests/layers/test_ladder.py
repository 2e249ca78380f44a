"""The depth of a ladder sets its other numbers."""

import gin
import pytest

from primer import layers
from primer.layers import ladder


@pytest.mark.parametrize("depth", [1, 2, 7, 12, 24])
def test_numbers_follow_the_depth(depth):
    sizes = ladder.ladder_sizes(depth)
    assert sizes["num_layers"] == sizes["num_heads"] == depth
    assert sizes["d_model"] == sizes["num_heads"] * 64
    assert sizes["d_ff"] == 4 * sizes["d_model"]
    assert sizes["d_ff_gated"] % 8 == 0
    assert abs(sizes["d_ff_gated"] - sizes["d_ff"] * 2 / 3) <= 4
    assert sizes["d_model_narrow"] * 4 == sizes["d_model"] * 3
    assert sizes["d_ff_12x"] == 12 * sizes["d_model_narrow"]
    assert sizes["d_ff_12x_gated"] * 3 == sizes["d_ff_12x"] * 2


@pytest.mark.parametrize("depth, switch, evolved", [(1, 1, 1), (6, 2, 4), (12, 3, 7), (24, 6, 14)])
def test_other_blocks_are_as_many_as_in_the_published_sizes(depth, switch, evolved):
    """6, 12 and 24 layers are Primer's small, medium and large models."""
    sizes = ladder.ladder_sizes(depth)
    assert (sizes["num_switch_blocks"], sizes["num_evolved_blocks"]) == (switch, evolved)


def test_gin_computes_the_size_that_the_scope_names():
    gin.parse_config("ladder_size.depth = 7")
    for size, number in ladder.ladder_sizes(7).items():
        with gin.config_scope("outer"), gin.config_scope(size):
            assert layers.ladder_size() == number


@pytest.mark.parametrize("depth", [0, -3, 2.0, "12", None, True])
def test_a_depth_is_a_whole_number_of_layers(depth):
    message = '^depth = .*expected a whole number of layers, .*--gin_param="depth = 12"'
    with gin.config_scope("d_model"), pytest.raises(ValueError, match=message):
        layers.ladder_size(depth)


def test_an_unknown_size_is_refused_with_the_known_ones():
    with gin.config_scope("d_kv"), pytest.raises(ValueError, match="@d_kv/.*no such.*d_model, "):
        layers.ladder_size(3)
    with pytest.raises(ValueError, match="expected a scope of d_model, "):
        layers.ladder_size(3)
