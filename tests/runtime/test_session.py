"""Sessions: their configuration, devices and event writers."""

import types

import tensorflow.compat.v1 as tf

from primer.runtime import cluster, session
from tests.runtime import tiny


def executed_operations():
    """The types of the operations executed for a graph of constants with the same sum twice."""
    with tf.Graph().as_default() as graph:
        positions = tf.range(1000)
        same = [tf.cumsum(positions), tf.cumsum(positions)]
        graph.finalize()
        metadata = tf.RunMetadata()
        options = tf.RunOptions(output_partition_graphs=True)
        with tf.Session(graph=graph, config=session.default_config()) as sess:
            sess.run(same, options=options, run_metadata=metadata)
    (partition,) = metadata.partition_graphs
    return [node.op for node in partition.node]


def test_constants_are_not_folded_and_equal_operations_run_once():
    assert executed_operations().count("Cumsum") == 1


def test_the_configuration_of_the_run_has_precedence():
    single = tf.ConfigProto(intra_op_parallelism_threads=1)
    for config, expected in ((single, single), (None, session.default_config())):
        estimator = types.SimpleNamespace(config=types.SimpleNamespace(session_config=config))
        assert session.estimator_config(estimator) == expected


def test_a_single_host_trains_in_this_process():
    assert session.master(None) == ""
    with tf.Graph().as_default(), session.chief_device(None):
        assert tf.constant(1).device == ""


def test_the_chief_holds_what_no_mesh_device_is_named_for():
    hosts = cluster.Cluster((("chief", 0, "a:1"), ("worker", 0, "b:2")), own_index=0)
    with tf.Graph().as_default(), session.chief_device(hosts):
        assert tf.constant(1).device == "/job:chief/task:0"


def test_two_writers_of_the_same_second_keep_their_events(tmp_path):
    for step in (1, 2):
        writer = session.event_writer(str(tmp_path))
        writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="x", simple_value=step)]), step)
        writer.close()
    assert tiny.scalars(tmp_path)["x"] == {1: 1.0, 2: 2.0}


def test_events_from_a_step_on_can_be_dropped(tmp_path):
    writer = session.event_writer(str(tmp_path))
    session.drop_events_from(writer, 7)
    writer.close()
    assert tiny.dropped_from(tmp_path) == [7]
