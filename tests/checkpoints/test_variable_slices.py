"""Slices of variables: their parts, their initial values, who has the files."""

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import variable_slices


def record(masters, begins, size, slices):
    stacked = len(masters) > 1
    variable_slices.record(
        variable_slices.SlicedVariables(
            tuple(masters), stacked, tuple(begins), tuple(size), tuple(slices)
        )
    )


def random(name, shape):
    return tf.get_variable(name, shape, initializer=tf.random_normal_initializer(seed=3))


def test_slices_begin_as_those_of_the_whole_initial_value():
    """Two weights are stacked on two devices; another one has two replicas of each half."""
    with tf.Graph().as_default(), tf.Session() as sess:
        stacked = [random(name, [4]) for name in "ab"]
        halves = [tf.get_variable(f"ab_{n}", [2, 2], collections=[]) for n in range(2)]
        record(stacked, [(0,), (2,)], (2,), halves)
        whole = random("c", [4, 2])
        replicas = [tf.get_variable(f"c_{n}", [2, 2], collections=[]) for n in range(4)]
        record([whole], [(0, 0), (2, 0), (0, 0), (2, 0)], (2, 2), replicas)
        initialize = variable_slices.SliceInitializer()
        tf.get_default_graph().finalize()
        with tf.Session() as alone:
            alone.run([v.initializer for v in [*stacked, whole]])
            a, b, c = alone.run([*stacked, whole])
        initialize(sess)
        np.testing.assert_array_equal(np.concatenate(sess.run(halves), 1), [a, b])
        np.testing.assert_array_equal(np.concatenate(sess.run(replicas)), [*c, *c])


def test_parts_are_distinct_and_in_tensorflows_notation():
    with tf.Graph().as_default():
        master, other = random("w", [4, 6]), random("a", [3])
        slices = [tf.get_variable(f"w_{n}", [2, 6], collections=[]) for n in range(4)]
        record([master], [(0, 0), (2, 0), (0, 0), (2, 0)], (2, 6), slices)
        parts = variable_slices.parts([master, other])
        assert [(p.name, p.spec) for p in parts] == [
            ("a", ""),
            ("w", "4 6 0,2:0,6"),
            ("w", "4 6 2,2:0,6"),
        ]
        assert parts[1].holders == (slices[0], slices[2])
        assert variable_slices.unsliced([master, other]) == [other]


def test_groups_of_initial_values_are_bounded():
    sized = [("a", 3), ("b", 3), ("c", 9), ("d", 1)]
    assert list(variable_slices.groups(sized, most=6)) == [["a", "b"], ["c"], ["d"]]


def test_one_host_may_have_the_files_of_all():
    with tf.Graph().as_default():
        gpu = "/job:worker/task:1/device:GPU:3"
        assert variable_slices.file_host(gpu) == "/job:worker/task:1/device:CPU:0"
        variable_slices.use_files_on("/job:worker/task:0/device:CPU:0")
        assert variable_slices.file_host(gpu) == "/job:worker/task:0/device:CPU:0"
