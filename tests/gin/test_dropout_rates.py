"""Each rate of dropout has a name, and acts in its own place only."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.planning import run_graph
from tests import gin_models
from tests.layers import helpers

FILES = gin_models.files("transformer")
ONE_BLOCK = ["num_layers = 1", "num_switch_blocks = 1", "num_evolved_blocks = 1"]
ATTENTION, FEED_FORWARD = "block_000/layer_000/", "block_000/layer_001/"
# Slot -> the scopes of its places, below transformer/, in order.
PLACES = {
    "embedding_dropout_rate": [""],
    "attention_dropout_rate": [ATTENTION + "SelfAttention"],
    "feed_forward_dropout_rate": [FEED_FORWARD + "DenseReluDense"],
    "residual_dropout_rate": [ATTENTION[:-1], FEED_FORWARD[:-1], ""],
    "final_dropout_rate": [""],
}


@pytest.fixture
def dropped(monkeypatch):
    """The (scope, rate) of each dropout with a rate above 0, in the order of the calls."""
    calls, stock = [], mtf.dropout

    def dropout(x, is_training, keep_prob=None, rate=None, **settings):
        fraction = 1 - keep_prob if rate is None else rate
        if fraction and is_training:
            scope = tf.get_variable_scope().name.partition("transformer/")[2]
            calls.append((scope, round(fraction, 6)))
        return stock(x, is_training, keep_prob, rate, **settings)

    monkeypatch.setattr(mtf, "dropout", dropout)
    return calls


@pytest.mark.parametrize("slot", PLACES)
def test_a_rate_changes_its_own_place(slot, load, dropped):
    load(FILES, [*ONE_BLOCK, f"{slot} = 0.25"])
    run_graph.build_forward(97)
    assert dropped == [(scope, 0.25) for scope in PLACES[slot]]


def test_one_slot_sets_all_and_a_name_sets_its_own(load, dropped):
    load(FILES, [*ONE_BLOCK, "dropout_rate = 0.5", "attention_dropout_rate = 0.0"])
    run_graph.build_forward(97)
    scopes = ["", ATTENTION[:-1], FEED_FORWARD + "DenseReluDense", FEED_FORWARD[:-1], ""]
    assert dropped == [(scope, 0.5) for scope in scopes]


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neo", "gpt_neox", "tensor2tensor_lm"])
def test_no_dropout_at_the_end(architecture, load, dropped):
    load(gin_models.files(architecture), ["num_layers = 2", "residual_dropout_rate = 0.25"])
    run_graph.build_forward(97)
    assert len(dropped) == 4 and "" not in dict(dropped)


@pytest.mark.parametrize(
    "architecture, overlay, layer, slot",
    [
        ("transformer", "switch", "MoE1D", "feed_forward_dropout_rate"),
        ("evolved_transformer", None, "Convol", "feed_forward_dropout_rate"),
        ("primer", None, "MDHA", "attention_dropout_rate"),
    ],
)
def test_other_layers(architecture, overlay, layer, slot, load, dropped):
    load(gin_models.files(architecture, overlay=overlay), [*ONE_BLOCK, f"{slot} = 0.25"])
    run_graph.build_forward(97)
    assert [rate for scope, rate in dropped if layer in scope]


def test_the_sinusoids_of_distances_are_dropped_once_with_the_embeddings(load, dropped):
    load(gin_models.files("transformer_xl"), ["embedding_dropout_rate = 0.25"])
    run_graph.build_forward(97)
    assert dropped == [("", 0.25), (ATTENTION + "SelfAttention", 0.25)]


def test_evaluation_has_no_dropout(load, dropped):
    load(FILES, [*ONE_BLOCK, "dropout_rate = 0.5"])
    _, graph = run_graph.build_forward(97, "eval")
    assert not dropped
    assert not [op for op in graph.operations if isinstance(op, mtf.ops.RandomOperation)]


def test_a_binding_of_the_sublayer_still_sets_all_layers(load, dropped):
    """As in gin files of Mesh-TensorFlow; the embedding and the end have slots of their own."""
    load(FILES, [*ONE_BLOCK, "sublayer_dropout.dropout_rate = 0.25"])
    run_graph.build_forward(97)
    assert dropped == [(scope, 0.25) for scope in PLACES["residual_dropout_rate"][:-1]]


def test_the_fraction_that_is_dropped():
    """Of the embeddings of one model, by its rate."""
    model = gin_models.build(FILES, [*ONE_BLOCK, "embedding_dropout_rate = 0.25"])
    with helpers.bench() as b:
        x = b.put(np.ones([4, 32, 32], np.float32), "batch", "length", "d_model")
        context = helpers.layer_context(b, x, "train")
        (sublayer,) = model.layer_stack._sublayers_initial
        y = b.run({"y": sublayer(x, model.layer_stack, context)})["y"]
    # One draw for all positions of a row.
    assert (y == y[:, :1]).all()
    kept = y[:, 0] > 0
    np.testing.assert_allclose(y[:, 0][kept], 1 / 0.75, rtol=1e-6)
    assert 0.6 < kept.mean() < 0.9
