"""Documents again and again, with the passes over them counted.

The count is part of the pipeline's state: a resumed run goes on counting where it stopped. What is
counted is reading, which the shuffling and packing behind it let run ahead of training; `Reading`
says what is made of that.
"""

import numpy as np
import tensorflow as tf

from primer import passes

# Besides where an epoch begins, a report each so many documents: a resumed run soon has one.
_REPORT_EVERY = 256


def repeated(
    dataset: tf.data.Dataset,
    num_epochs: int | None,
    task: str,
    reading: passes.Reading,
    end_tokens: int = 0,
) -> tf.data.Dataset:
    """`dataset.repeat(num_epochs)`, of which `reading` hears.

    Args:
        dataset: documents with the key "targets", [length] each.
        num_epochs: how often; None for ever.
        task: the name to report under.
        reading: who listens.
        end_tokens: how many tokens each document is going to get at its end.
    """

    def report(epoch, whole):
        documents, tokens = map(int, whole)
        reading.note(task, int(epoch), documents, tokens)
        return np.int64(epoch)

    def count(state, indexed):
        (epoch, counted, last), (index, example) = state, indexed
        begins = tf.equal(index, 0)
        epoch += tf.cast(begins, tf.int64)
        # Where an epoch begins, what was counted up to here is a whole one.
        last = tf.where(begins, counted, last)
        epoch = tf.cond(
            begins | tf.equal(index % _REPORT_EVERY, 0),
            lambda: _call(report, epoch, last),
            lambda: epoch,
        )
        size = tf.size(example["targets"], out_type=tf.int64) + end_tokens
        counted = tf.where(begins, tf.zeros_like(counted), counted) + tf.stack([1, size])
        return (epoch, counted, last), example

    # The epoch, (documents, tokens) of it so far, and those of the last whole one.
    zeros = (np.int64(0), np.zeros(2, np.int64), np.zeros(2, np.int64))
    return dataset.enumerate().repeat(num_epochs).scan(zeros, count)


def _call(function, *values):
    # Not stateful: the iterator's position could not be saved.
    result = tf.numpy_function(function, values, tf.int64, stateful=False)
    return tf.ensure_shape(result, [])
