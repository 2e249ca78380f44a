"""Pipelines are not tuned while they run: whoever ends one would wait for the tuning thread."""

import pytest
import tensorflow.compat.v1 as tf

from primer.common import tf_data
from primer.runtime import inputs


@pytest.fixture
def tuned(monkeypatch):
    """Whether the data sets are tuned of which iterators are made."""
    noted, stock = [], tf.data.make_initializable_iterator

    def note(dataset):
        noted.append(dataset.options().autotune.enabled)
        return stock(dataset)

    monkeypatch.setattr(tf.data, "make_initializable_iterator", note)
    return noted


def numbers(params=None):
    return tf.data.Dataset.range(3).map(lambda x: x + 1, num_parallel_calls=tf.data.AUTOTUNE)


def test_what_python_reads(tuned):
    assert list(tf_data.elements(numbers)) == [1, 2, 3]
    assert tuned == [False]


def test_what_a_model_reads(tuned):
    with tf.Graph().as_default(), tf.Session() as session:
        following = inputs.features(numbers)
        session.run(tf.tables_initializer())
        assert [session.run(following) for _ in range(3)] == [1, 2, 3]
    assert tuned == [False]
