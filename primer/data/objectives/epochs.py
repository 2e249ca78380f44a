"""Repeats documents over epochs and counts the documents and tokens of an epoch.

The counts are part of the pipeline's state, so that a resumed run has those of the run before.
Several documents are counted at a time: a call of a function takes TensorFlow at least 25
microseconds, more than reading a prepared sentence.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

_AT_ONCE = 16
# Steps between two reports; besides, each epoch begins with one. A resumed run soon has a report.
_REPORT_EVERY = 8


def repeat_and_count(
    dataset: tf.data.Dataset,
    num_epochs: int | None,
    report: Callable[[int, int], object],
    tokens_of: Callable[[tf.Tensor], tf.Tensor] = lambda lengths: lengths,
) -> tf.data.Dataset:
    """Returns `dataset.repeat(num_epochs)`, which reports the size of an epoch while it is read.

    Args:
        dataset: documents with the key "targets", [length] each.
        num_epochs: the number of epochs; None repeats endlessly.
        report: takes the documents and tokens of a whole epoch; both are 0 in the first.
        tokens_of: the tokens that are read of documents of these lengths, [documents] int64 both.
    """

    def call_report(size):
        report(*map(int, size))
        return np.asarray(size)

    def reported(size):
        # Not stateful, or the iterator's position could not be saved.
        return tf.ensure_shape(
            tf.numpy_function(call_report, [size], tf.int64, stateful=False), [2]
        )

    def count(state, indexed):
        (so_far, whole), (index, examples) = state, indexed
        begins = tf.equal(index, 0)
        whole = tf.where(begins, so_far, whole)
        due = begins | tf.equal(index % _REPORT_EVERY, 0)
        whole = tf.cond(due, lambda: reported(whole), lambda: whole)
        lengths = tf.cast(examples["targets"].row_lengths(), tf.int64)
        documents, tokens = tf.size(lengths, tf.int64), tf.reduce_sum(tokens_of(lengths))
        so_far = tf.where(begins, tf.zeros_like(so_far), so_far) + tf.stack([documents, tokens])
        return (so_far, whole), examples

    zeros = (np.zeros(2, np.int64), np.zeros(2, np.int64))
    batches = dataset.ragged_batch(_AT_ONCE).enumerate().repeat(num_epochs)
    return batches.scan(zeros, count).unbatch()
