"""The ids of strings inside a graph, without a table that a session would have to initialize.

A `tf.lookup` table in a data pipeline is a resource: every session that reads the pipeline has to
initialize it first, and stock t5 and Mesh-TensorFlow do so in some of their modes only. This lookup
has no state. Each string's fingerprint is searched in a sorted list, and the string found there is
compared, so that the result is exact.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow.compat.v1 as tf

_FINGERPRINTS = 2**62


class StringLookup:
    """Ids of byte strings, and one id for all others.

    Args:
        ids: string -> id.
        default: the id of any string that is not among them.

    Raises:
        ValueError: two strings have the same fingerprint (for a million strings, one chance in
            nine million).
    """

    def __init__(self, ids: Mapping[bytes, int], default: int):
        strings = np.array(list(ids), dtype=object)
        prints = _fingerprints(strings)
        order = np.argsort(prints)
        self._prints = prints[order]
        if np.any(self._prints[1:] == self._prints[:-1]):
            raise ValueError("two strings have the same fingerprint; leave one of them out")
        self._strings = strings[order]
        self._ids = np.fromiter(ids.values(), np.int32, len(ids))[order]
        self._default = default

    def __call__(self, strings: tf.Tensor) -> tf.Tensor:
        """[n] strings -> [n] int32 ids."""
        prints = tf.strings.to_hash_bucket_fast(strings, _FINGERPRINTS)
        places = tf.searchsorted(tf.constant(self._prints), prints)
        places = tf.minimum(places, len(self._prints) - 1)
        found = tf.equal(tf.gather(tf.constant(self._strings, tf.string), places), strings)
        ids = tf.gather(tf.constant(self._ids), places)
        return tf.where(found, ids, tf.fill(tf.shape(ids), np.int32(self._default)))


def _fingerprints(strings):
    """What the graph will compute, as numpy values, whatever mode TensorFlow is in."""
    with tf.Graph().as_default():
        fingerprints = tf.strings.to_hash_bucket_fast(tf.constant(strings), _FINGERPRINTS)
        with tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
            return session.run(fingerprints)
