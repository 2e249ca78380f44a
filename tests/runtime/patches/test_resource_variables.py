"""A step reads a weight before the optimizer changes it; slices on a mesh are no weights."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.runtime.patches import resource_variables


def test_a_step_reads_a_weight_before_it_changes_it():
    """A read that runs after the write has the old value."""
    for _ in range(5):
        with tf.Graph().as_default():
            resource_variables.use_resources()
            graph = mtf.Graph()
            mesh = mtf.Mesh(graph, "mesh")
            dim = mtf.Dimension("d", 4)
            weight = mtf.get_variable(
                mesh,
                "w",
                mtf.Shape([dim]),
                initializer=tf.ones_initializer(),
                dtype=mtf.VariableDType(tf.float32, tf.float32, tf.float32),
            )
            update = mtf.assign(weight, weight * 2)
            impl = mtf.placement_mesh_impl.PlacementMeshImpl(
                mtf.Shape([]), mtf.LayoutRules([]), [""]
            )
            lowering = mtf.Lowering(graph, {mesh: impl})
            write = lowering.lowered_operation(update)
            with tf.control_dependencies([write]):
                late = tf.identity(lowering.export_to_tf_tensor(weight))
            with tf.Session() as sess:
                sess.run(tf.global_variables_initializer())
                np.testing.assert_array_equal(sess.run(late), np.ones(4))


def test_slices_are_no_weights():
    """Training would not find them in a checkpoint and refuse to resume, and count them twice."""
    with tf.Graph().as_default():
        resource_variables.use_resources()
        graph = mtf.Graph()
        mesh = mtf.Mesh(graph, "mesh")
        shape = mtf.Shape([mtf.Dimension("d", 4)])
        weight = mtf.get_variable(mesh, "w", shape)
        impl = mtf.placement_mesh_impl.PlacementMeshImpl(
            mtf.convert_to_shape("all:2"), mtf.convert_to_layout_rules("d:all"), ["", ""]
        )
        mtf.Lowering(graph, {mesh: impl})
        assert [v.op.name for v in tf.trainable_variables()] == [weight.operation.name]
        names = {op.name for op in tf.get_default_graph().get_operations()}
        assert {"w_slice_0", "w_slice_1"} <= names
