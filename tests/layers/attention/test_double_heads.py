"""Attention with twice the heads: decoding, settings, errors."""

import gin
import numpy as np
import pytest

from primer.layers import DoubleHeadsAttention
from tests.layers import single_layer

X = np.random.default_rng(0).standard_normal([2, 5, 32])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_heads": 1},
        {"num_memory_heads": 1},
        {"num_memory_heads": 8},
        {"shared_kv": True},
        {"combine_dims": False},
        {"relative_attention_type": "contextual"},
    ],
    ids=str,
)
def test_decoding_equals_all_positions_at_once(settings):
    settings = {"num_heads": 4, "key_value_size": 8, "relative_attention_type": "bias", **settings}
    layer = DoubleHeadsAttention(**settings)
    variables = single_layer.random_variables(layer)
    single_layer.check_decoding(layer, variables, X, [2, 3])
    if settings["num_heads"] == 4:
        assert variables["double_heads_attention/o"].size == 32 * 32


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"key_value_size": 9}, "DoubleHeadsAttention.key_value_size = 9: .* choose an even d_kv"),
        ({"num_heads": 4, "num_memory_heads": 3}, "num_memory_heads = 3 must divide the 8 heads"),
    ],
)
def test_heads_that_cannot_be_doubled_raise_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        DoubleHeadsAttention(**settings)


def test_gin_settings():
    """Bindings of SelfAttention apply to the heads to double; the layer's own have priority."""
    gin.parse_config(
        [
            "SelfAttention.num_heads = 3",
            "SelfAttention.key_value_size = 16",
            "DoubleHeadsAttention.key_value_size = 20",
        ]
    )
    layer = DoubleHeadsAttention()
    assert (layer.num_heads, layer.key_value_size) == (6, 10)
