"""Windows in any attention layer: the kind "local" is said to have no effect where it has none."""

import numpy as np
import pytest

from primer.common import graph_marks
from primer.layers import MDHA, DoubleHeadsAttention, MultiHeadAttention
from tests.layers import helpers, single_layer

X = np.random.default_rng(0).standard_normal([2, 12, 32]).astype(np.float32)


def remarks(mode, **settings):
    layer = MultiHeadAttention(num_heads=4, key_value_size=8, **settings)
    with helpers.bench() as b:
        x = b.put(X, *single_layer.NAMES)
        layer.call(single_layer.context_of(b, x, mode), x)
        return graph_marks.remarks()


def test_a_window_of_the_length_or_more_is_said_in_training():
    for window in (12, 13):
        (remark,) = remarks("train", kind="local", window=window)
        assert remark.startswith(f"window = {window}: rows have 12 tokens")
    assert not remarks("train", kind="local", window=11)
    assert not remarks("train", kind="global", window=13)
    # A trained model may score shorter texts than it was trained on.
    assert not remarks("eval", kind="local", window=13)


@pytest.mark.parametrize("cls", [MDHA, DoubleHeadsAttention, MultiHeadAttention])
def test_every_layer_takes_a_window(cls):
    """The same function in blocks and masked; the first token reaches only the first window."""
    settings = dict(num_heads=4, key_value_size=8, kind="local", window=3, positions="alibi")
    layers = [cls(block_length=length, **settings) for length in (12, 4)]
    variables = single_layer.random_variables(layers[0])
    changed = X + (np.arange(12) == 0)[None, :, None]
    masked, blocks = (single_layer.run(layer, variables, X)["y"] for layer in layers)
    np.testing.assert_allclose(blocks, masked, rtol=0, atol=1e-5)
    difference = np.abs(single_layer.run(layers[1], variables, changed)["y"] - blocks).max((0, 2))
    reach = 3 + (2 if cls is MDHA else 0)  # MDHA convolves two earlier tokens.
    assert difference[:reach].min() > 1e-3
    assert difference[reach:].max() < 1e-5
