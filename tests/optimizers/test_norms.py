"""Global norms, whatever the layout of each tensor."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.optimizers import norms
from tests.optimizers import optimizer_run, problem


@pytest.mark.parametrize(("shape", "layout"), optimizer_run.MESHES)
def test_the_norm_is_that_of_all_tensors_as_one_vector(shape, layout):
    values = problem.weights()
    with tf.Graph().as_default():
        shape = mtf.convert_to_shape(shape)
        implementation = mtf.placement_mesh_impl.PlacementMeshImpl(
            shape, mtf.convert_to_layout_rules(layout), [""] * shape.size
        )
        graph = mtf.Graph()
        mesh = mtf.Mesh(graph, "norms")
        tensors = [
            mtf.import_fully_replicated(
                mesh,
                tf.constant(value),
                mtf.Shape(
                    [mtf.Dimension(*d) for d in zip(problem.DIMS[n], value.shape, strict=True)]
                ),
            )
            for n, value in values.items()
        ]
        # Of bfloat16 values the sum is in float32.
        norm = norms.global_norm([None, *tensors])
        half = norms.global_norm([mtf.cast(tensors[0], tf.bfloat16)])
        lowering = mtf.Lowering(graph, {mesh: implementation})
        with tf.Session() as sess:
            found, rounded = sess.run(list(map(lowering.export_to_tf_tensor, (norm, half))))
    together = np.concatenate([value.ravel() for value in values.values()]).astype(np.float64)
    np.testing.assert_allclose(found, np.linalg.norm(together), rtol=1e-6)
    assert 0 < abs(rounded / np.linalg.norm(values["embedding"].astype(np.float64)) - 1) < 4e-3
