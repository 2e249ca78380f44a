"""A tf.data pipeline read from Python, whatever mode TensorFlow is in."""

from collections.abc import Callable, Iterator

import tensorflow.compat.v1 as tf


def elements(make_dataset: Callable[[], tf.data.Dataset]) -> Iterator:
    """The elements of a data set as numpy values, read in a graph and a session of their own.

    That works under t5's command, which turns eager execution off, and no graph or session is the
    default one while the caller works between two elements.

    Args:
        make_dataset: builds the data set; is called inside the graph, at the first element.
    """
    with tf.Graph().as_default() as graph:
        iterator = tf.data.make_initializable_iterator(make_dataset())
        following = iterator.get_next()
    session = tf.Session(graph=graph, config=tf.ConfigProto(device_count={"GPU": 0}))
    try:
        session.run(iterator.initializer)
        while True:
            try:
                values = session.run(following)
            except tf.errors.OutOfRangeError:
                return
            yield values
    finally:
        session.close()


def count(make_dataset: Callable[[], tf.data.Dataset]) -> int:
    """The number of elements of a data set; reads them all.

    Args:
        make_dataset: as for `elements`.
    """

    def one_number():
        total = make_dataset().reduce(tf.constant(0, tf.int64), lambda number, _: number + 1)
        return tf.data.Dataset.from_tensors(total)

    return int(next(elements(one_number)))
