"""The cross entropy over a vocabulary equals Mesh-TF's, values and gradients, on any mesh."""

import itertools

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.common import build_mode
from primer.runtime.ops import cross_entropy, embedding_lookup
from tests import slow
from tests.layers import helpers
from tests.runtime.ops.vocabulary_ops import (
    BATCH,
    IDS,
    LENGTH,
    MESHES,
    VOCAB,
    assert_equal,
    run,
    tensor,
    with_gradient,
)

LOGITS = (30 * np.random.default_rng(2).normal(size=[*IDS.shape, VOCAB.size])).astype(np.float32)


@pytest.mark.parametrize("z_loss", [0.0, 0.01])
@pytest.mark.parametrize("mesh_shape", MESHES)
def test_the_loss_equals_mesh_tensorflows(mesh_shape, z_loss):
    def build(loss):
        def graph(mesh):
            logits = tensor(mesh, LOGITS, BATCH, LENGTH, VOCAB)
            targets = tensor(mesh, IDS.astype(np.int32), BATCH, LENGTH)
            return with_gradient(loss(logits, targets, VOCAB, z_loss), logits)

        return graph

    stock = mtf.layers.softmax_cross_entropy_with_logits
    assert_equal(mesh_shape, build(cross_entropy.cross_entropy), build(stock))


@pytest.mark.parametrize("at_a_time", [5, 512])
@pytest.mark.parametrize("mesh_shape", MESHES)
def test_the_loss_of_an_evaluation_equals_mesh_tensorflows(mesh_shape, at_a_time, monkeypatch):
    monkeypatch.setattr(cross_entropy, "_ROWS_AT_A_TIME", at_a_time)

    def build(mode):
        def graph(mesh):
            logits = tensor(mesh, LOGITS, BATCH, LENGTH, VOCAB)
            targets = tensor(mesh, IDS.astype(np.int32), BATCH, LENGTH)
            with build_mode.building(mode):
                found = mtf.layers.softmax_cross_entropy_with_logits(logits, targets, VOCAB)
            kinds = {type(operation) for operation in mesh.graph.operations}
            assert (cross_entropy.CrossEntropy in kinds) == (mode == "eval")
            return [found]

        return graph

    assert_equal(mesh_shape, build("eval"), build("train"))


def test_a_probability_too_small_for_float32_has_a_finite_loss():
    """A logit is 500 above the others."""
    logits = np.zeros([BATCH.size, LENGTH.size, VOCAB.size], np.float32)
    logits[..., 3] = 500.0

    def graph(mesh):
        targets = tensor(mesh, IDS.astype(np.int32), BATCH, LENGTH)
        imported = tensor(mesh, logits, BATCH, LENGTH, VOCAB)
        return [cross_entropy.cross_entropy(imported, targets, VOCAB)]

    (loss,) = run("", graph)
    np.testing.assert_allclose(loss, np.where(IDS == 3, 0.0, 500.0), atol=1e-4)


def whole_model(targets, settings, for_tpu, mesh_shape=""):
    """The loss of a tiny Transformer in training, and its gradients' norms."""
    model, variables = helpers.golden_model("transformer_vanilla", model=settings)
    with build_mode.building("train", for_tpu):
        return helpers.call(
            model,
            variables,
            targets,
            mode="train",
            gradients=True,
            mesh_shape=mesh_shape,
            layout="batch:batch,vocab:model",
        )


def operations(for_tpu):
    """The kinds of Mesh-TF operations in the patched model."""
    made = set()
    init = mtf.Operation.__init__

    def note(self, *args, **kwargs):
        made.add(type(self))
        init(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mtf.Operation, "__init__", note)
        whole_model(np.ones([4, 8], np.int32), {}, for_tpu)
    return made


def test_training_uses_our_operations_and_a_tpu_does_not():
    ours = {embedding_lookup.Lookup, cross_entropy.CrossEntropy}
    assert ours <= operations(for_tpu=False)
    assert not ours & operations(for_tpu=True)


SETTINGS = {
    "default": {},
    "z_loss": {"z_loss": 1e-2},
    "label_smoothing": {"label_smoothing": 0.1},
    "loss_denominator": {"loss_denominator": 100.0},
}


@pytest.mark.parametrize(
    "mesh_shape, setting",
    slow.all_but(
        lambda value: value[0] == "" or value == ("batch:2,model:2", "default"),
        list(itertools.product(MESHES, SETTINGS)),
        name="-".join,
    ),
)
def test_loss_and_gradients_of_a_model_equal_mesh_tensorflows(mesh_shape, setting):
    settings = SETTINGS[setting]
    targets = np.random.default_rng(3).integers(1, 97, [4, 8]).astype(np.int32)
    targets[1, 5:] = 0
    stock = whole_model(targets, settings, for_tpu=True)
    ours = whole_model(targets, settings, for_tpu=False, mesh_shape=mesh_shape)
    assert ours.keys() == stock.keys() and len(ours) > 10
    for name, expected in stock.items():
        np.testing.assert_allclose(ours[name], expected, rtol=2e-5, atol=2e-6, err_msg=name)
