"""Runs operations of a mesh at a step of a run, for the tests of the patches."""

import gin
import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.common import random_seed
from primer.runtime.patches import resource_variables


def run_at_step(build, step=0, seed=0, mesh_shape="", rules="") -> np.ndarray:
    """Returns the value of the mtf.Tensor `build(mesh)`, lowered on CPUs, at a step."""
    with gin.unlock_config():
        gin.bind_parameter("run_seed.seed", seed)
    with tf.Graph().as_default():
        resource_variables.use_resources()
        key = tf.placeholder(tf.int64, [])
        random_seed.set_step_key(key)
        graph = mtf.Graph()
        mesh = mtf.Mesh(graph, "mesh")
        shape = mtf.convert_to_shape(mesh_shape)
        impl = mtf.placement_mesh_impl.PlacementMeshImpl(
            shape, mtf.convert_to_layout_rules(rules), [""] * shape.size
        )
        out = build(mesh)
        lowering = mtf.Lowering(graph, {mesh: impl})
        value = lowering.export_to_tf_tensor(out)
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            sess.run(lowering.copy_masters_to_slices())
            return sess.run(value, {key: step})
