"""Documents again and again, with the passes over them counted.

The count is part of the pipeline's state: a resumed run goes on counting where it stopped. What is
counted is reading, which the shuffling and packing behind it let run ahead of training.
"""

import numpy as np
import tensorflow as tf

from primer import passes

# Besides where an epoch begins, a report each so many documents: a resumed run soon has one.
_REPORT_EVERY = 256


def repeated(
    dataset: tf.data.Dataset, num_epochs: int | None, task: str, reading: passes.Reading
) -> tf.data.Dataset:
    """`dataset.repeat(num_epochs)`, of which `reading` hears.

    Args:
        dataset: documents with the key "targets", [length] each.
        num_epochs: how often; None for ever.
        task: the name to report under.
        reading: who listens.
    """

    def report(epoch, documents, tokens):
        reading.note(task, int(epoch), int(documents), int(tokens))
        return np.int64(epoch)

    def count(state, indexed):
        (epoch, documents, tokens), (index, example) = state, indexed
        begins = tf.equal(index, 0)
        epoch += tf.cast(begins, tf.int64)
        epoch = tf.cond(
            begins | tf.equal(index % _REPORT_EVERY, 0),
            lambda: _call(report, epoch, *_where(begins, documents, tokens)),
            lambda: epoch,
        )
        size = tf.size(example["targets"], out_type=tf.int64)
        state = (epoch, index + 1, size + tf.where(begins, tf.zeros_like(tokens), tokens))
        return state, example

    zeros = (np.int64(0),) * 3
    return dataset.enumerate().repeat(num_epochs).scan(zeros, count)


def _where(condition, *values):
    return [tf.where(condition, value, tf.zeros_like(value)) for value in values]


def _call(function, *values):
    # Not stateful: the iterator's position could not be saved.
    result = tf.numpy_function(function, values, tf.int64, stateful=False)
    return tf.ensure_shape(result, [])
