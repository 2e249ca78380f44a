"""Runs an operation over a vocabulary and its gradient on a mesh, beside Mesh-TF's own."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

BATCH, LENGTH, VOCAB, WIDTH = (
    mtf.Dimension(name, size)
    for name, size in (("batch", 4), ("length", 6), ("vocab", 16), ("d_model", 3))
)
LAYOUT = "batch:batch,vocab:model"
MESHES = ["", "batch:2", "model:4", "batch:2,model:2"]
IDS = np.random.default_rng(0).integers(0, VOCAB.size, [BATCH.size, LENGTH.size])


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
