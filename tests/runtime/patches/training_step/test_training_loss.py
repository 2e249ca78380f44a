"""The loss is recorded where the model function asks for gradients, and only there."""

import types

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from primer.runtime.patches.training_step import training_loss

VALUES = np.arange(8, dtype=np.float32).reshape(4, 2)


@pytest.fixture
def bench():
    """Yields the patched module, a weight and a batch of features, in a graph of their own."""
    utils = types.SimpleNamespace(mtf=mtf)
    training_loss.patch(utils)
    with tf.Graph().as_default():
        mesh = mtf.Mesh(mtf.Graph(), "mesh")
        batch, width = mtf.Dimension("batch", 4), mtf.Dimension("d_model", 2)
        weight = mtf.get_variable(
            mesh, "w", mtf.Shape([width]), initializer=tf.constant_initializer(3.0)
        )
        x = mtf.import_fully_replicated(mesh, tf.constant(VALUES), mtf.Shape([batch, width]))
        yield utils.mtf, weight, x


def evaluated(*tensors):
    graph = tensors[0].graph
    implementation = mtf.placement_mesh_impl.PlacementMeshImpl("", "", [""])
    lowering = mtf.Lowering(graph, {tensors[0].mesh: implementation})
    values = [lowering.export_to_tf_tensor(tensor) for tensor in tensors]
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run(lowering.copy_masters_to_slices())
        return sess.run(values)


def test_the_loss_of_gradients_is_recorded(bench):
    patched, weight, x = bench
    loss = mtf.reduce_sum(x * weight)
    (gradient,) = patched.gradients([loss], [weight])
    assert graph_marks.training_loss() is loss
    np.testing.assert_array_equal(evaluated(gradient)[0], VALUES.sum(0))


def test_with_microbatches_it_is_the_sum_over_them(bench):
    patched, weight, x = bench

    def model(features):
        return {"loss": mtf.reduce_sum(features["x"] * weight)}

    gradients, outputs = patched.serialize_training_step({"x": x}, model, x.shape.dims[0], 2)
    assert graph_marks.training_loss() is outputs["loss"]
    loss, gradient = evaluated(graph_marks.training_loss(), gradients[0])
    assert loss == 3 * VALUES.sum()
    np.testing.assert_array_equal(gradient, VALUES.sum(0))


def test_gradients_elsewhere_are_not_recorded(bench):
    _, weight, x = bench
    mtf.gradients([mtf.reduce_sum(x * weight)], [weight])
    assert graph_marks.training_loss() is None


def test_all_else_is_mesh_tensorflows(bench):
    assert bench[0].Lowering is mtf.Lowering
    assert bench[0].utils is mtf.utils
