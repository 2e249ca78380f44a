"""Training without capacity: against slots, numpy and meshes, under any imbalance."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers.experts.dropless import block_products, row_products
from tests import slow
from tests.layers.experts import experts_alone, routing_oracle
from tests.layers.experts.experts_alone import IDS, X, tight

# One group, so that the balance loss is that of all tokens.
ROOMY = {"group_size": 48, "capacity_factor_train": 4.0}
DROPLESS = {"capacity_factor_train": None}
GATINGS = ["switch", "top_2", "top_n", "naive"]


def trained(gating, sequence_id=None, x=X, values=None, mesh_shape="", layout="", **settings):
    """Returns outputs, losses and gradients of a training step of a layer with biases."""
    layer = tight(gating, balance_loss="gshard", loss_coef=0.3, **settings)
    return experts_alone.run(
        layer,
        x=x,
        sequence_id=sequence_id,
        mode="train",
        gradients=True,
        values=values,
        mesh_shape=mesh_shape,
        layout=layout,
    )


@pytest.mark.parametrize("gating", slow.all_but(["top_2", "naive"], GATINGS))
def test_outputs_losses_and_gradients_equal_those_of_a_large_capacity(gating):
    """Two implementations: sorted rows, and slots of experts. With a gated unit."""
    units = {"activation": ["gelu", "linear"]}
    expected = trained(gating, **ROOMY, **units)
    experts_alone.check_same(trained(gating, **DROPLESS, **units), expected)


def test_padding_is_computed_by_no_expert():
    expected, found = (trained("naive", IDS, **s) for s in (ROOMY, DROPLESS))
    for values in (expected, found):
        values.pop("loss")  # With slots, padding counts in the loss.
        gates = [key for key in values if "gating" in key]
        assert gates and [values.pop(key) for key in gates]
    assert not found["y"][IDS == 0].any()
    # The loss has another gradient of x too.
    found.pop("grad/x"), expected.pop("grad/x")
    experts_alone.check_same(found, expected, IDS)


def to_one_expert(name, shape):
    """Returns the values of `draw`, with biases by which all tokens choose experts 2 and 0."""
    if name.endswith("gating/bias"):
        return np.array([40.0, 0.0, 80.0, 0.0], np.float32)
    return experts_alone.draw(name, shape)


@pytest.mark.parametrize("form", ["BY_EXPERT", "IN_BLOCKS"])
@pytest.mark.parametrize("balance", [experts_alone.draw, to_one_expert])
def test_every_token_gets_the_dense_computation_of_its_experts(balance, form, monkeypatch):
    """In numpy; all tokens at one expert, and blocks of 5 rows."""
    monkeypatch.setattr(block_products, "BLOCK", 5)
    monkeypatch.setattr(row_products, "_form", lambda mesh: getattr(block_products, form))
    values = trained("naive", values=balance, num_experts_per_token=2, **DROPLESS)
    x = X.reshape(-1, 8)
    kernel, bias = (balance(f"naive_gating/{n}", s) for n, s in (("kernel", [8, 4]), ("bias", [4])))
    logits = x @ kernel + bias
    expected = np.zeros_like(x)
    for t, row in enumerate(logits):
        chosen = np.argsort(-row)[:2]
        for e, gate in zip(chosen, routing_oracle.softmax(row[chosen])):
            expected[t] += gate * expert(e, x[t])
    np.testing.assert_allclose(values["y"].reshape(-1, 8), expected, rtol=0, atol=1e-5)


def expert(number, x):
    wi, bi, wo, bo = (
        experts_alone.draw(name, shape)[number]
        for name, shape in (
            ("wi/kernel", [4, 8, 6]),
            ("wi/bias", [4, 6]),
            ("wo/kernel", [4, 6, 8]),
            ("wo/bias", [4, 8]),
        )
    )
    return np.maximum(x @ wi + bi, 0) @ wo + bo


@pytest.mark.parametrize("balance", [experts_alone.draw, to_one_expert])
def test_static_blocks_have_the_same_gradients(balance, monkeypatch):
    """As on TPU; a block is shorter than an expert's rows, and longer than another's."""
    expected = trained("naive", IDS, values=balance, **DROPLESS)
    monkeypatch.setattr(block_products, "BLOCK", 7)
    monkeypatch.setattr(row_products, "_form", lambda mesh: block_products.IN_BLOCKS)
    experts_alone.check_same(trained("naive", IDS, values=balance, **DROPLESS), expected)


@pytest.mark.parametrize("rows, experts", [(0, 3), (1, 3), (37, 1), (40, 8)])
def test_the_number_of_blocks_is_static_and_enough(rows, experts, monkeypatch):
    """rows / BLOCK + experts, with all rows at one expert and one row at each."""
    monkeypatch.setattr(block_products, "BLOCK", 4)
    for expert_of_row in (np.zeros(rows), np.sort(np.arange(rows) % (experts + 1))):
        with tf.Graph().as_default(), tf.Session() as session:
            blocks = block_products._Blocks(tf.constant(expert_of_row, tf.int32), experts)
            assert blocks.count == -(-rows // 4) + experts
            x = np.arange(1.0, rows + 1, dtype=np.float32)[:, None]
            filled, back = session.run(
                [blocks.fill(tf.constant(x)), blocks.empty(blocks.fill(tf.constant(x)))]
            )
        assert sorted(filled[filled > 0]) == list(x[expert_of_row < experts, 0])
        np.testing.assert_array_equal(back, x * (expert_of_row < experts)[:, None])


MESHES = {
    "batch and experts": ("rows:4", "batch:rows,experts:rows"),
    "and the hidden layer": ("rows:2,columns:2", "batch:rows,experts:rows,expert_hidden:columns"),
    "batch": ("rows:2", "batch:rows"),
    "batch, experts elsewhere": ("rows:2,columns:2", "batch:rows,experts:columns"),
    "and the features": ("rows:2,columns:2", "batch:rows,experts:rows,d_model:columns"),
}


@functools.cache
def one_device(gating):
    return trained(gating, IDS, **DROPLESS)


@pytest.mark.parametrize(
    "gating, mesh",
    slow.all_but(
        [("naive", "batch, experts elsewhere"), ("naive", "and the hidden layer")],
        [(gating, mesh) for gating in ("naive", "top_2") for mesh in MESHES],
        name="-".join,
    ),
)
def test_a_mesh_equals_one_device(gating, mesh):
    values = trained(gating, IDS, mesh_shape=MESHES[mesh][0], layout=MESHES[mesh][1], **DROPLESS)
    experts_alone.check_same(values, one_device(gating))


def test_all_tokens_at_one_processor_of_a_mesh():
    """Experts 2 and 0 of 4, on processors 2 and 0 of 4."""
    settings = dict(values=to_one_expert, num_experts_per_token=2, **DROPLESS)
    mesh_shape, layout = MESHES["batch and experts"]
    values = trained("naive", mesh_shape=mesh_shape, layout=layout, **settings)
    experts_alone.check_same(values, trained("naive", **settings))


def test_evaluation_computes_the_same_function():
    expected = trained("naive", **DROPLESS)["y"]
    layer = tight("naive", capacity_factor_eval=None)
    for where in ({}, {"mode": "first_part"}):
        found = experts_alone.run(layer, **where)["y"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_dropout_is_in_the_hidden_layer_of_each_expert():
    """Rate 0.5 changes outputs in training only; the bias of the output is not dropped."""
    layer = tight("naive", dropout_rate=0.5, **DROPLESS)
    zeros = {"wo/kernel": 0.0}

    def values(name, shape):
        return experts_alone.draw(name, shape) * zeros.get(name, 1.0)

    dropped, kept = (
        experts_alone.run(layer, mode="train", values=v)["y"] for v in (experts_alone.draw, values)
    )
    without = trained("naive", **DROPLESS)["y"]
    assert np.abs(dropped - without).max() > 0.05
    undropped = trained("naive", values=values, **DROPLESS)["y"]
    np.testing.assert_allclose(kept, undropped, rtol=0, atol=1e-6)
