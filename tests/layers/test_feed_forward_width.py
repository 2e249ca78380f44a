"""The hidden width: by the activation, or one for all."""

import gin
import pytest

from primer import layers


@pytest.mark.parametrize(
    "activation, expected",
    [(["relu"], 96), ("relu", 96), (["gelu", "linear"], 64), (("relu", "linear"), 64)],
)
def test_gated_units_have_a_width_of_their_own(activation, expected):
    assert layers.feed_forward_width(activation, projection=96, projection_gated=64) == expected


def test_one_width_for_every_activation_has_priority():
    for activation in (["relu"], ["gelu", "linear"]):
        assert layers.feed_forward_width(activation, 96, 64, d_ff_hidden=80) == 80


def test_only_the_selected_width_must_be_set():
    gin.parse_config(
        [
            "d_ff_gated = @d_ff_gated/unset_size",
            "feed_forward_width.projection = 96",
            "feed_forward_width.projection_gated = %d_ff_gated",
        ]
    )
    assert layers.feed_forward_width(["relu"]) == 96
    with pytest.raises(ValueError, match="^d_ff_gated is not set, and this model needs it"):
        layers.feed_forward_width(["gelu", "linear"])
