"""tf.data pipelines: without the tuning thread, and read from Python in any mode of TensorFlow."""

from collections.abc import Callable, Iterator

import tensorflow.compat.v1 as tf


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same data set without tf.data's thread that tunes its parallelism.

    That thread sleeps for up to a minute between two measurements, closing a session waits for it,
    and TensorFlow 2.21 does not always wake it: closing an evaluation took up to as long as the
    evaluation itself. A step that left its parallelism to tf.data now has a thread per processor;
    training waits for its batches no longer than before (benchmarks/data.py).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def elements(make_dataset: Callable[[], tf.data.Dataset]) -> Iterator:
    """The elements of a data set as numpy values, read in a graph and a session of their own.

    That works under t5's command, which turns eager execution off, and no graph or session is the
    default one while the caller works between two elements.

    Args:
        make_dataset: builds the data set; is called inside the graph, at the first element.
    """
    with tf.Graph().as_default() as graph:
        iterator = tf.data.make_initializable_iterator(without_autotuning(make_dataset()))
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


class TextFunction:
    """A TensorFlow function of texts, called from Python on one processor, whatever mode TF is in.

    Args:
        function: vector of strings -> tensors, a list or tuple of them; called once, in a graph.
    """

    def __init__(self, function: Callable):
        with tf.Graph().as_default() as graph:
            self._texts = tf.placeholder(tf.string, [None])
            self._results = function(self._texts)
            initial = tf.tables_initializer()
        settings = tf.ConfigProto(
            device_count={"GPU": 0},
            intra_op_parallelism_threads=1,
            inter_op_parallelism_threads=1,
            use_per_session_threads=True,
        )
        self._session = tf.Session(graph=graph, config=settings)
        self._session.run(initial)

    def __call__(self, texts: list[bytes]):
        """The results for these texts, as numpy has them."""
        return self._session.run(self._results, {self._texts: texts})

    def close(self) -> None:
        self._session.close()
