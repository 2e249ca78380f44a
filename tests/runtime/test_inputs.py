"""Input pipelines: their features and iterator, and AutoGraph only where a function needs it."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.python.autograph.core import ag_ctx
from tensorflow.python.data.ops import structured_function

from primer.runtime import inputs


def first_batch(*maps):
    """The batch of 0, 1, 2 after the functions were mapped over it."""

    def input_fn(params):
        del params
        dataset = tf.data.Dataset.range(3)
        for fn in maps:
            dataset = dataset.map(fn)
        return dataset.batch(3)

    with tf.Graph().as_default():
        batch = inputs.features(input_fn)
        with tf.Session() as sess:
            sess.run(tf.tables_initializer())
            return sess.run(batch)


def test_a_plain_function_is_traced_once_without_autograph():
    seen = []

    def double(x):
        seen.append(ag_ctx.control_status_ctx().status)
        return 2 * x

    np.testing.assert_array_equal(first_batch(double), [0, 2, 4])
    assert seen == [ag_ctx.Status.DISABLED]


def test_functions_that_need_autograph_get_it():
    def odd_is_negative(x):
        if x % 2 == 1:
            return -x
        return x

    def sum_below(x):
        total = tf.constant(0, tf.int64)
        for n in tf.range(tf.abs(x) + 1):
            total += n
        return total

    np.testing.assert_array_equal(first_batch(odd_is_negative, sum_below), [0, 1, 3])


def test_the_error_of_a_function_is_not_changed():
    def wrong(x):
        raise KeyError("targets")

    with pytest.raises(KeyError, match="targets"):
        first_batch(wrong)


def test_tensorflows_tracing_is_restored():
    before = structured_function.StructuredFunctionWrapper.__init__
    first_batch(lambda x: x)
    assert structured_function.StructuredFunctionWrapper.__init__ is before


def test_the_iterator_of_a_data_set_is_returned_and_initialized_with_the_tables():
    with tf.Graph().as_default():
        features, iterator = inputs.with_iterator(lambda params: tf.data.Dataset.range(2))
        assert iterator.initializer in tf.get_collection(tf.GraphKeys.TABLE_INITIALIZERS)
        with tf.Session() as sess:
            for _ in range(2):
                sess.run(tf.tables_initializer())
                assert sess.run(features) == 0


def test_tensors_have_no_iterator():
    with tf.Graph().as_default():
        tensor = tf.constant(1)
        assert inputs.with_iterator(lambda params: tensor) == (tensor, None)


def test_the_labels_of_a_pair_are_dropped():
    pairs = {"targets": [1, 2]}, {"labels": [3, 4]}
    with tf.Graph().as_default():
        features = inputs.features(lambda params: tf.data.Dataset.from_tensors(pairs))
    assert list(features) == ["targets"]


def test_python_functions_are_numbered_within_the_input():
    def names():
        with tf.Graph().as_default() as graph, inputs.python_functions_numbered_from_zero():
            for _ in range(2):
                tf.numpy_function(lambda x: x, [1], tf.int32)
        return [op.get_attr("token") for op in graph.get_operations() if op.type == "PyFunc"]

    assert names() == names() == [b"training_input_0", b"training_input_1"]
    with tf.Graph().as_default() as graph:
        tf.numpy_function(lambda x: x, [1], tf.int32)
    (operation,) = (op for op in graph.get_operations() if op.type == "PyFunc")
    assert operation.get_attr("token").startswith(b"pyfunc_")
