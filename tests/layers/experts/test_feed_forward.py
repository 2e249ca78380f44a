"""The experts' feed-forward networks: equal to a dense layer, activations, dropout."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer_layers

from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import roomy, tight


@pytest.mark.parametrize("gating", ["top_2", "top_n", "two levels"])
def test_equal_experts_are_a_dense_layer(gating):
    """Gates sum to 1: the layer equals DenseReluDense, including biases (Mesh-TF has none)."""
    settings = {**roomy(gating), "activation": ["gelu", "linear"]}
    dense = transformer_layers.DenseReluDense(6, activation=["gelu", "linear"], use_bias=True)
    values = dict(values=experts_alone.draw_alike)
    expected = experts_alone.run(dense, **values)["y"]
    for exact in (True, False):
        y = experts_alone.run(tight(gating, **settings), exact=exact, **values)["y"]
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5)
    bare = experts_alone.run(tight(gating, **settings, use_bias=False), **values)
    assert np.abs(bare["y"] - expected).max() > 0.1


def test_dropout_is_for_training():
    ours, plain = tight("top_2", dropout_rate=0.5), tight("top_2")
    experts_alone.check_same(experts_alone.run(ours), experts_alone.run(plain), atol=0)
    trained = [experts_alone.run(each, mode="train")["y"] for each in (ours, plain)]
    assert np.abs(trained[0] - trained[1]).max() > 0.1


def test_activations_are_names_or_functions_of_mesh_tensors():
    names = experts_alone.run(tight("top_2", activation=["relu", "linear"]))
    functions = experts_alone.run(tight("top_2", activation=[lambda x: mtf.relu(x), None]))
    experts_alone.check_same(names, functions, atol=0)
