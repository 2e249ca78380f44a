"""Lookup and loss over a vocabulary equal Mesh-TF's own, values and gradients, on any mesh."""

import itertools

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common import build_mode
from primer.runtime.ops import cross_entropy, embedding_lookup
from tests import slow
from tests.layers import helpers

BATCH, LENGTH, VOCAB, WIDTH = (
    mtf.Dimension(name, size)
    for name, size in (("batch", 4), ("length", 6), ("vocab", 16), ("d_model", 3))
)
LAYOUT = "batch:batch,vocab:model"
MESHES = ["", "batch:2", "model:4", "batch:2,model:2"]
IDS = np.random.default_rng(0).integers(0, VOCAB.size, [BATCH.size, LENGTH.size])
TABLE = np.random.default_rng(1).normal(size=[VOCAB.size, WIDTH.size]).astype(np.float32)
LOGITS = (30 * np.random.default_rng(2).normal(size=[*IDS.shape, VOCAB.size])).astype(np.float32)


def run(mesh_shape, build):
    """The values of the mtf.Tensors that `build` gives, lowered on a mesh of CPUs."""
    with tf.Graph().as_default():
        mesh = mtf.Mesh(mtf.Graph(), "mesh")
        outputs = build(mesh)
        size = mtf.convert_to_shape(mesh_shape).size
        mesh_impl = mtf.placement_mesh_impl.PlacementMeshImpl(mesh_shape, LAYOUT, [""] * size)
        lowering = mtf.Lowering(mesh.graph, {mesh: mesh_impl})
        exported = [lowering.export_to_tf_tensor(output) for output in outputs]
        with tf.Session() as sess:
            return sess.run(exported)


def tensor(mesh, value, *dims):
    return mtf.import_tf_tensor(mesh, tf.constant(value), mtf.Shape(dims))


def with_gradient(y, x):
    """The output and the gradient of a weighted sum of it."""
    weights = mtf.range(y.mesh, y.shape.dims[0], tf.float32) + 1.0
    return [y, *mtf.gradients([mtf.reduce_sum(y * y * weights)], [x])]


def assert_equal(mesh_shape, ours, stock):
    for got, expected in zip(run(mesh_shape, ours), run("", stock), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mesh_shape", MESHES)
def test_lookup_is_a_product_with_one_hot_rows(mesh_shape):
    def build(lookup):
        def graph(mesh):
            table = tensor(mesh, TABLE, VOCAB, WIDTH)
            ids = tensor(mesh, IDS.astype(np.int32), BATCH, LENGTH)
            return with_gradient(lookup(table, ids), table)

        return graph

    assert_equal(
        mesh_shape,
        build(lambda table, ids: embedding_lookup.Lookup(table, ids, VOCAB).outputs[0]),
        build(lambda table, ids: mtf.gather(table, ids, VOCAB)),
    )


@pytest.mark.parametrize("z_loss", [0.0, 0.01])
@pytest.mark.parametrize("mesh_shape", MESHES)
def test_loss_is_mesh_tensorflows(mesh_shape, z_loss):
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
def test_what_an_evaluation_reports_is_mesh_tensorflows(mesh_shape, at_a_time, monkeypatch):
    monkeypatch.setattr(cross_entropy, "_AT_A_TIME", at_a_time)

    def build(mode):
        def graph(mesh):
            logits = tensor(mesh, LOGITS, BATCH, LENGTH, VOCAB)
            targets = tensor(mesh, IDS.astype(np.int32), BATCH, LENGTH)
            with build_mode.graph(mode):
                found = mtf.layers.softmax_cross_entropy_with_logits(logits, targets, VOCAB)
            kinds = {type(operation) for operation in mesh.graph.operations}
            assert (cross_entropy.CrossEntropy in kinds) == (mode == "eval")
            return [found]

        return graph

    assert_equal(mesh_shape, build("eval"), build("train"))


def test_a_certain_loss_is_exact():
    """Probabilities that a float32 cannot hold do not become infinite losses."""
    logits = np.zeros([BATCH.size, LENGTH.size, VOCAB.size], np.float32)
    logits[..., 3] = 500.0

    def graph(mesh):
        targets = tensor(mesh, IDS.astype(np.int32), BATCH, LENGTH)
        imported = tensor(mesh, logits, BATCH, LENGTH, VOCAB)
        return [cross_entropy.cross_entropy(imported, targets, VOCAB)]

    (loss,) = run("", graph)
    np.testing.assert_allclose(loss, np.where(IDS == 3, 0.0, 500.0), atol=1e-4)


@pytest.mark.parametrize("mesh_shape", MESHES)
def test_rows_of_no_id_are_zeros(mesh_shape):
    """As a product with a one-hot row gives it for padding below 0 and for ids beyond the end."""
    ids = np.tile(np.array([-1, 3, 16, 0, 15, 99], np.int32), (BATCH.size, 1))

    def graph(lookup):
        def build(mesh):
            table = tensor(mesh, TABLE, VOCAB, WIDTH)
            return with_gradient(lookup(table, tensor(mesh, ids, BATCH, LENGTH)), table)

        return build

    assert_equal(
        mesh_shape,
        graph(lambda table, ids: embedding_lookup.Lookup(table, ids, VOCAB).outputs[0]),
        graph(lambda table, ids: mtf.gather(table, ids, VOCAB)),
    )


def whole_model(targets, settings, for_tpu, mesh_shape=""):
    """The loss of a tiny Transformer in training, and its gradients' norms."""
    model, variables = helpers.golden_model("transformer_vanilla", model=settings)
    with build_mode.graph("train", for_tpu):
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
    """The kinds of Mesh-TF operations that the mended model is made of."""
    made = set()
    init = mtf.Operation.__init__

    def note(self, *args, **kwargs):
        made.add(type(self))
        init(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mtf.Operation, "__init__", note)
        whole_model(np.ones([4, 8], np.int32), {}, for_tpu)
    return made


def test_training_uses_them_and_a_tpu_does_not():
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
def test_a_whole_model_is_mesh_tensorflows(mesh_shape, setting):
    settings = SETTINGS[setting]
    targets = np.random.default_rng(3).integers(1, 97, [4, 8]).astype(np.int32)
    targets[1, 5:] = 0
    stock = whole_model(targets, settings, for_tpu=True)
    ours = whole_model(targets, settings, for_tpu=False, mesh_shape=mesh_shape)
    assert ours.keys() == stock.keys() and len(ours) > 10
    for name, expected in stock.items():
        np.testing.assert_allclose(ours[name], expected, rtol=2e-5, atol=2e-6, err_msg=name)
