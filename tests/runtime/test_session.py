"""How sessions that compute a model treat its graph."""

import tensorflow.compat.v1 as tf

from primer.runtime import session


def executed():
    """The types of the operations of a graph of constants that has the same sum twice."""
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


def test_constants_are_computed_where_they_are_used_and_once():
    assert executed().count("Cumsum") == 1
