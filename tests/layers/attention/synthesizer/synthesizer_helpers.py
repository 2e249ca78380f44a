"""Builds Synthesizer layers and models of 8 positions, with inputs and variables for them."""

import functools

import numpy as np

from primer.layers.attention.synthesizer.synthesizer import SynthesizerAttention
from tests.layers import helpers, single_layer

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(2, 97, [2, 8])
X = RNG.standard_normal([4, 8, 32])
# Two or three segments per row, one of them of a single token, and padding.
IDS = np.array([[1] * 3 + [2] * 5, [1] * 6 + [0] * 2, [1] + [2] * 7, [1] * 2 + [2] * 3 + [3] * 3])


def layer(mode, cls=SynthesizerAttention, **settings):
    settings = {
        "synthesize_mode": mode,
        "num_heads": 4,
        "key_value_size": 8,
        "relative_attention_type": "bias",
        **settings,
    }
    if cls is SynthesizerAttention:
        settings = {"max_length": 8, **settings}
    return cls(**settings)


@functools.cache
def variables_of(mode, max_length=8):
    return single_layer.random_variables(layer(mode, max_length=max_length))


def build(mode, model=None, stack=None, activation="relu", num_layers=1, **settings):
    parts = helpers.Architecture(attention=SynthesizerAttention, activation=activation)
    settings = {"synthesize_mode": mode, "max_length": 8, **settings}
    return helpers.build_model(
        parts, attention=settings, model=model, stack=stack, num_layers=num_layers
    )
