"""Scalars inside loops: their mean since the last reset."""

import mesh_tensorflow as mtf
import pytest
import tensorflow.compat.v1 as tf

from primer.runtime.patches import loop_summaries
from tests.layers import helpers


def test_the_mean_over_iterations_and_runs_since_the_reset():
    with helpers.bench() as b:
        limit = tf.placeholder(tf.int32, [])
        zero, goal = (
            mtf.import_tf_tensor(b.mesh, value, mtf.Shape([])) for value in (tf.constant(0), limit)
        )

        def body(number, total):
            mtf.scalar_summary("load", mtf.cast(number, tf.float32))
            return [number + 1, total]

        result = mtf.while_loop(lambda number, _: mtf.less(number, goal), body, [zero, zero])[0]
        impl = mtf.placement_mesh_impl.PlacementMeshImpl(mtf.Shape([]), mtf.LayoutRules([]), [""])
        value = mtf.Lowering(b.graph, {b.mesh: impl}).export_to_tf_tensor(result)
        means, reset = loop_summaries.means()
        with tf.Session() as sess:
            sess.run(tf.local_variables_initializer())
            sess.run(value, {limit: 2})
            sess.run(value, {limit: 4})
            assert sess.run(means) == {"load": pytest.approx((0 + 1 + 0 + 1 + 2 + 3) / 6)}
            sess.run(reset)
            assert sess.run(means) == {"load": 0.0}
