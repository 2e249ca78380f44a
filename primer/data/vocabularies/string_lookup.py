"""Looks up the ids of strings in a graph, without a table that a session has to initialize.

A `tf.lookup` table in a data pipeline is a resource: every session that reads the pipeline must
initialize it first, and stock t5 and Mesh-TensorFlow do so only in some of their modes. This lookup
has no state. It searches a string's fingerprint in a sorted list and compares a second, independent
fingerprint with that of the entry found. Each has 62 bits: for a list of a million strings, one in
10^31 unlisted strings is mistaken for a listed one.

The graph does not contain the strings either: a quarter of a million string constants would add
about fifteen seconds to the start of a run.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow.compat.v1 as tf

_FINGERPRINTS = 2**62
_KEY = (0x5072696D6572, 0x776F726473)  # The second fingerprint's key: two arbitrary numbers.


class StringLookup:
    """Maps byte strings to ids, and all other strings to a default id.

    Args:
        ids: string -> id.
        default: the id of any other string.

    Raises:
        ValueError: two strings have the same first fingerprint (for a million strings, one chance
            in nine million).
    """

    def __init__(self, ids: Mapping[bytes, int], default: int) -> None:
        first, second = _fingerprints(list(ids))
        order = np.argsort(first)
        self._first, self._second = first[order], second[order]
        if np.any(self._first[1:] == self._first[:-1]):
            raise ValueError("two strings have the same fingerprint; leave one of them out")
        self._ids = np.fromiter(ids.values(), np.int32, len(ids))[order]
        self._default = np.int32(default)

    def __call__(self, strings: tf.Tensor) -> tf.Tensor:
        """Returns the ids of strings: [n] strings -> [n] int32."""
        first, second = _fingerprint_ops(strings)
        places = tf.searchsorted(tf.constant(self._first), first)
        places = tf.minimum(places, len(self._first) - 1)
        found = tf.equal(tf.gather(tf.constant(self._first), places), first)
        found &= tf.equal(tf.gather(tf.constant(self._second), places), second)
        ids = tf.gather(tf.constant(self._ids), places)
        return tf.where(found, ids, tf.fill(tf.shape(ids), self._default))


def _fingerprint_ops(strings):
    first = tf.strings.to_hash_bucket_fast(strings, _FINGERPRINTS)
    return first, tf.strings.to_hash_bucket_strong(strings, _FINGERPRINTS, _KEY)


def _fingerprints(strings):
    """The fingerprints as numpy arrays, in eager and in graph mode."""
    with tf.Graph().as_default():
        placeholder = tf.placeholder(tf.string, [None])
        fingerprints = _fingerprint_ops(placeholder)
        with tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
            return session.run(fingerprints, {placeholder: strings})
