"""Collectives on one processor have the operations that Mesh-TensorFlow makes of them."""

import mesh_tensorflow as mtf
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow import placement_mesh_impl

from primer.planning.device_program.program import Collective
from primer.planning.machines import host_collectives
from primer.runtime import session

SHAPE = [64, 64]


def operations(n, make, shape):
    """Returns how many operations TensorFlow runs on each of n devices."""
    devices = [f"/device:CPU:{number}" for number in range(n)]
    config = session.with_cpus(session.default_config(), n)
    with tf.Graph().as_default():
        xs = mtf.parallel(
            devices, lambda number: tf.random_uniform(shape, seed=number), list(range(n))
        )
        results = mtf.parallel(devices, tf.negative, make(xs, devices))
        step = tf.group(results)
        metadata = tf.RunMetadata()
        with tf.Session(config=config) as sess:
            options = tf.RunOptions(output_partition_graphs=True)
            sess.run(step, options=options, run_metadata=metadata)
    return sum(len(graph.node) for graph in metadata.partition_graphs) / n


@pytest.mark.parametrize("n", [2, 4, 8])
@pytest.mark.parametrize(
    "kind, purpose, shape, make",
    [
        ("all_reduce", "all_reduce_sum", SHAPE, placement_mesh_impl.allreduce_ring),
        ("all_reduce", "all_reduce_sum", [8], placement_mesh_impl.allreduce_ring),
        (
            "all_reduce",
            "all_concat",
            SHAPE,
            lambda xs, d: placement_mesh_impl.allconcat_ring(xs, d, 0),
        ),
        (
            "all_to_all",
            "all_to_all",
            SHAPE,
            lambda xs, d: placement_mesh_impl.alltoall_ring(xs, d, 0, 1),
        ),
    ],
)
def test_operations_are_mesh_tensorflows(n, kind, purpose, shape, make):
    more = operations(n, make, shape) - operations(n, lambda xs, devices: xs, shape)
    one = Collective(
        kind, purpose, ("batch",), n, 4 * shape[0] ** 2, "float32", tuple(shape), "", "", 1
    )
    cost = host_collectives.cost(one)
    assert cost.operations + 2 * cost.transfers == pytest.approx(more, abs=1)
