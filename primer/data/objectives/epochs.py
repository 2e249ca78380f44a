"""Documents again and again, and the size of an epoch counted on the way.

The count is part of the pipeline's state, so that a resumed run knows what the first one counted.
Documents are counted some at a time: a function costs TensorFlow 25 microseconds however little it
does, which is more than reading a prepared sentence does.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

_AT_ONCE = 16
# Besides where an epoch begins, a report each so many times: a resumed run soon has one.
_REPORT_EVERY = 8


def repeat_and_count(
    dataset: tf.data.Dataset, num_epochs: int | None, report: Callable, end_tokens: int = 0
) -> tf.data.Dataset:
    """`dataset.repeat(num_epochs)`; what an epoch has is reported.

    Args:
        dataset: documents with the key "targets", [length] each.
        num_epochs: how often; None for ever.
        report: a function of (documents, tokens) of a whole epoch; zeros in the first.
        end_tokens: how many tokens each document is going to get at its end.
    """

    def call(whole):
        report(*map(int, whole))
        return np.asarray(whole)

    def noted(whole):
        # Not stateful: the iterator's position could not be saved.
        return tf.ensure_shape(tf.numpy_function(call, [whole], tf.int64, stateful=False), [2])

    def count(state, indexed):
        (so_far, whole), (index, examples) = state, indexed
        begins = tf.equal(index, 0)
        whole = tf.where(begins, so_far, whole)
        due = begins | tf.equal(index % _REPORT_EVERY, 0)
        whole = tf.cond(due, lambda: noted(whole), lambda: whole)
        documents = examples["targets"].nrows(tf.int64)
        tokens = tf.size(examples["targets"].values, tf.int64) + end_tokens * documents
        so_far = tf.where(begins, tf.zeros_like(so_far), so_far) + tf.stack([documents, tokens])
        return (so_far, whole), examples

    zeros = (np.zeros(2, np.int64), np.zeros(2, np.int64))
    some = dataset.ragged_batch(_AT_ONCE).enumerate().repeat(num_epochs)
    return some.scan(zeros, count).unbatch()
