"""Equal small constants of a graph under construction are one operation."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common import build_mode


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph, build_mode.building("train"):
        yield graph


def values(graph):
    return [op for op in graph.get_operations() if op.type == "Const"]


def test_equal_operands_are_one_constant(graph):
    x = tf.placeholder(tf.float32, [2, 3])
    for _ in range(3):
        tf.transpose(x * 2.0, [1, 0])
    assert len(values(graph)) == 2


@pytest.mark.parametrize(
    "pair",
    [(0.0, -0.0), (1, 1.0), (True, 1), (1, np.int64(1)), ([1, 2], [2, 1]), ([1], 1)],
    ids=str,
)
def test_other_values_and_types_are_other_constants(graph, pair):
    first, second = (tf.convert_to_tensor(value) for value in pair)
    assert first is not second
    with tf.Session() as session:
        for tensor, value in zip((first, second), pair):
            found = session.run(tensor)
            assert repr(found.tolist()) == repr(np.asarray(value).tolist())


def test_another_type_of_one_value_is_another_constant(graph):
    assert tf.constant(1, tf.int32) is not tf.constant(1, tf.int64)


def test_a_constant_stays_in_its_device_control_flow_and_order(graph):
    first = tf.constant(3.0)
    with tf.device("/cpu:1"):
        assert tf.constant(3.0).device.endswith("CPU:1")
    before = tf.no_op()
    with tf.control_dependencies([before]):
        after = tf.constant(3.0)
        assert after.op.control_inputs == [before]
    inside = []
    tf.while_loop(lambda i: i < 3, lambda i: inside.append(tf.constant(3.0)) or i + 1, [0])
    assert len({first.ref(), after.ref(), inside[0].ref()}) == 3
    assert tf.constant(3.0) is first


def test_a_function_captures_a_small_constant(graph):
    """TensorFlow copies it into the function's graph, with arguments by name."""
    outer = tf.constant(5.0)
    function = tf.function(lambda: outer + 1.0)
    with tf.Session() as session:
        assert session.run(function()) == 6.0


def test_initial_values_are_fed_each_for_its_variable(graph):
    made = [tf.get_variable(name, [2], initializer=tf.zeros_initializer()) for name in "ab"]
    made += [tf.Variable(0.0), tf.Variable(0.0)]
    starts = [variable.initializer.inputs[1] for variable in made]
    assert len({tensor.ref() for tensor in starts}) == 4


def test_large_constants_and_other_graphs_are_as_they_were(graph):
    assert tf.constant([1] * 99) is not tf.constant([1] * 99)
    with tf.Graph().as_default() as other:
        assert tf.constant(3.0).graph is other


def test_a_graph_is_freed_with_its_constants():
    with tf.Graph().as_default() as graph, build_mode.building("train"):
        tf.constant(3.0)
    held = weakref.ref(graph)
    del graph
    gc.collect()
    assert held() is None


def test_graphs_that_are_not_models_are_as_they_were():
    with tf.Graph().as_default():
        assert tf.constant(3.0) is not tf.constant(3.0)
