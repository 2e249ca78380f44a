"""Data sets read from Python, and pipelines without tf.data's autotuning thread."""

import pytest
import tensorflow.compat.v1 as tf

from primer.common import tf_data
from primer.runtime import inputs


@pytest.fixture
def tuned(monkeypatch):
    """Whether autotuning is enabled in each data set of which an iterator is made."""
    noted, stock = [], tf.data.make_initializable_iterator

    def note(dataset):
        noted.append(dataset.options().autotune.enabled)
        return stock(dataset)

    monkeypatch.setattr(tf.data, "make_initializable_iterator", note)
    return noted


def numbers(params=None):
    return tf.data.Dataset.range(3).map(lambda x: x + 1, num_parallel_calls=tf.data.AUTOTUNE)


def test_elements_are_read_without_autotuning(tuned):
    assert list(tf_data.elements(numbers)) == [1, 2, 3]
    assert tuned == [False]


def test_features_of_a_model_are_read_without_autotuning(tuned):
    with tf.Graph().as_default(), tf.Session() as session:
        following = inputs.features(numbers)
        session.run(tf.tables_initializer())
        assert [session.run(following) for _ in range(3)] == [1, 2, 3]
    assert tuned == [False]


def test_elements_are_read_outside_of_the_callers_graph():
    with tf.Graph().as_default() as graph:
        for _ in tf_data.elements(numbers):
            assert tf.get_default_graph() is graph
    assert graph.get_operations() == []


def test_elements_are_counted():
    assert tf_data.count(numbers) == 3
    assert tf_data.count(lambda: numbers().filter(lambda x: x > 5)) == 0


def test_a_function_of_texts_is_built_once():
    built = []

    def lengths_and_texts(texts):
        built.append(texts)
        return tf.strings.length(texts), tf.strings.upper(texts)

    function = tf_data.TextFunction(lengths_and_texts)
    for texts in ([b"one", b"three"], [], [b"x"]):
        lengths, upper = function(texts)
        assert lengths.tolist() == list(map(len, texts))
        assert upper.tolist() == [text.upper() for text in texts]
    assert len(built) == 1
    function.close()
    with pytest.raises(RuntimeError, match="closed"):
        function([b"x"])
