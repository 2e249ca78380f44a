"""Settings of SelfAttention that attention layers reject, and the error that names each."""

import pytest
from mesh_tensorflow.transformer import transformer_layers

from primer.layers.attention import inherited_settings


@pytest.mark.parametrize(
    "settings",
    [
        {"use_hyperprompt": True},
        {"hyperprompt_length_decoder": 4},
        {"hyperprompt_length_encoder": 4},
    ],
    ids=str,
)
def test_hyperprompts(settings):
    layer = transformer_layers.SelfAttention(**settings)
    with pytest.raises(ValueError, match=r"SelfAttention does not support hyper-prompts \(why\)"):
        inherited_settings.check_no_hyperprompts(layer, "why")
    inherited_settings.check_no_hyperprompts(transformer_layers.SelfAttention(), "why")


def test_attention_func():
    layer = transformer_layers.SelfAttention(attention_func="hybrid")
    with pytest.raises(ValueError, match="attention_func = 'hybrid': expected None; why"):
        inherited_settings.check_no_attention_func(layer, "why")
    inherited_settings.check_no_attention_func(transformer_layers.SelfAttention(), "why")


@pytest.mark.parametrize("num_memory_heads", [0, 1, 2, 3, 6])
def test_memory_heads_that_divide_the_heads(num_memory_heads):
    layer = transformer_layers.SelfAttention(num_heads=6, num_memory_heads=num_memory_heads)
    inherited_settings.check_memory_heads(layer, "num_heads = 6")


@pytest.mark.parametrize("num_memory_heads", [4, 12])
def test_memory_heads_that_do_not_divide_the_heads(num_memory_heads):
    layer = transformer_layers.SelfAttention(num_heads=6, num_memory_heads=num_memory_heads)
    message = f"SelfAttention.num_memory_heads = {num_memory_heads} must divide num_heads = 6"
    with pytest.raises(ValueError, match=message):
        inherited_settings.check_memory_heads(layer, "num_heads = 6")
