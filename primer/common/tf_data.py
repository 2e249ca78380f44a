"""tf.data pipelines: without the autotuning thread, and read from Python in any TensorFlow mode."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the data set without tf.data's thread that tunes its parallelism.

    That thread sleeps for up to a minute between two measurements, closing a session waits for it,
    and TensorFlow 2.21 does not always wake it: closing an evaluation took up to as long as the
    evaluation itself. Steps with `num_parallel_calls=AUTOTUNE` now have a thread per processor;
    training waits for its batches no longer than before (benchmarks/data.py).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def shard_of(dataset: tf.data.Dataset, shard_info: Any) -> tf.data.Dataset:
    """Returns the elements of a shard; the data set itself where there is one shard.

    Args:
        dataset: all elements.
        shard_info: a seqio.ShardInfo, or None for one shard.
    """
    if shard_info and shard_info.num_shards > 1:
        return dataset.shard(shard_info.num_shards, shard_info.index)
    return dataset


def elements(make_dataset: Callable[[], tf.data.Dataset]) -> Iterator[Any]:
    """Yields the elements of a data set as numpy values, read in a separate graph and session.

    This works under t5's command, which turns eager execution off. Neither the graph nor the
    session is the default one while the caller runs between two elements.

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
    """Returns the number of elements of a data set; reads them all.

    Args:
        make_dataset: as for `elements`.
    """

    def total_alone():
        total = make_dataset().reduce(tf.constant(0, tf.int64), lambda number, _: number + 1)
        return tf.data.Dataset.from_tensors(total)

    return int(next(elements(total_alone)))


class TextFunction:
    """A TensorFlow function of texts, callable from Python on one processor in any TensorFlow mode.

    Args:
        function: vector of strings -> list or tuple of tensors; called once, in a graph.
    """

    def __init__(self, function: Callable[[tf.Tensor], Sequence[tf.Tensor]]) -> None:
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

    def __call__(self, texts: list[bytes]) -> Sequence[np.ndarray]:
        """Returns the function's results for these texts as numpy arrays."""
        return self._session.run(self._results, {self._texts: texts})

    def close(self) -> None:
        """Closes the session."""
        self._session.close()
