"""The logits of the Synthesizer's variants against the paper's equations; dropout, z-loss."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer_layers

from primer.layers.attention.synthesizer import synthesizer
from primer.layers.attention.synthesizer.synthesizer import SynthesizerAttention
from tests.layers import helpers, single_layer
from tests.layers.attention.synthesizer.synthesizer_helpers import IDS, X, layer, variables_of


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def paper(mode, x, v, length):
    """Computes the paper's equations for x `[batch, length, d_model]` and 4 heads of 8."""
    heads = {n: v[n].reshape(32, 4, 8) for n in ("q", "k", "v", "kv") if n in v}
    projections = {n: np.einsum("btd,dhe->bhte", x, w) for n, w in heads.items()}
    q = projections.get("q")
    if "R" in v:
        synthetic = v["R"][:length, :, :length].transpose(1, 0, 2)
    elif "R1" in v:
        synthetic = np.einsum("kht,khs->hts", v["R1"][..., :length], v["R2"][..., :length])
    elif mode == "dense":
        hidden = np.maximum(q + v["q_bias"][:, None, :], 0)
        synthetic = np.einsum("bhte,hes->bhts", hidden, v["pi/kernel"][..., :length])
        synthetic = synthetic + v["pi/bias"][:, None, :length]
    else:
        synthetic = np.maximum(q, 0) @ v["pi/kernel"][:, :length]
    logits = synthetic
    if "plus" in mode:
        product = q @ projections["k"].transpose(0, 1, 3, 2)
        share = 1 / (1 + np.exp(-v["alpha"])) if "alpha" in v else 0.5
        logits = (1 - share) * product + share * synthetic
        logits *= 1 if "alpha" in v else 2
    values = projections.get("v", projections.get("kv"))
    o = np.einsum("bhts,bhse->bthe", softmax(logits + 0 * values[..., :1]), values)
    return o.reshape(*x.shape[:2], 32) @ v["o"]


@pytest.mark.parametrize("mode", synthesizer.MODES)
def test_layer_computes_the_equations_of_the_paper(mode):
    """Without a mask: every position sees all."""
    x = X[:2, :6]
    variables = {k: v for k, v in variables_of(mode).items() if "relative" not in k}
    with helpers.bench(variables=variables) as b:
        given = b.put(x.astype(np.float32), *single_layer.NAMES)
        context = single_layer.context_of(b, given)
        context.read_priority = None
        y = layer(mode, relative_attention_type=None).call(context, given)
        y = b.run({"y": y})["y"]
    np.testing.assert_allclose(y, paper(mode, x, variables, 6), rtol=0, atol=1e-5)


def test_factorized_logits_differ_from_position_to_position():
    """In Mesh-TF's layer every position has the same logits."""
    x = np.ones([1, 8, 32]) * np.arange(8)[:, np.newaxis]
    x[:, -2:] = 100.0
    variables, last = variables_of("factorized", 512), {}
    for cls in (SynthesizerAttention, transformer_layers.Synthesizer):
        settings = {"max_length": 512} if cls is SynthesizerAttention else {}
        made = layer("factorized", cls, relative_attention_type="bias", **settings)
        with helpers.bench(variables=variables) as b:
            given = b.put(x.astype(np.float32), *single_layer.NAMES)
            context = single_layer.context_of(b, given)
            context.read_priority = None
            # One relative bias for all distances.
            context.position = mtf.zeros(b.mesh, [context.length_dim], tf.int32)
            last[cls] = b.run({"y": made.call(context, given)})["y"][0, -2:]
    ours, theirs = last.values()
    np.testing.assert_allclose(theirs[0], theirs[1], rtol=0, atol=1e-4)
    assert np.abs(ours[0] - ours[1]).max() > 0.1


def test_each_row_has_its_own_dropout():
    """Logits of the random mode are the same for all rows; their noise is not."""
    x = np.tile(X[:1], [2, 1, 1])
    made, variables = layer("random", dropout_rate=0.5), variables_of("random")
    same = single_layer.run(made, variables, x)["y"]
    noisy = single_layer.run(made, variables, x, mode="train")["y"]
    np.testing.assert_array_equal(same[0], same[1])
    assert np.abs(noisy[0] - noisy[1]).max() > 0.01


@pytest.mark.parametrize("ids", [IDS, None], ids=["packed", "unpacked"])
@pytest.mark.parametrize("mode", ["random", "random_plus"])
def test_z_loss(mode, ids):
    """The squared logarithm of the softmax's denominator; in training only."""
    made, variables = layer(mode, z_loss_coeff=0.5), variables_of(mode)
    assert single_layer.run(made, variables, X, ids, "train")["loss"] > 0.1
    assert "loss" not in single_layer.run(made, variables, X, ids)
    assert "loss" not in single_layer.run(layer(mode), variables, X, ids, "train")
