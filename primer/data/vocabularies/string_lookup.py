"""The ids of strings inside a graph, without a table that a session would have to initialize.

A `tf.lookup` table in a data pipeline is a resource: every session that reads the pipeline has to
initialize it first, and stock t5 and Mesh-TensorFlow do so in some of their modes only. This lookup
has no state. A string's fingerprint is searched in a sorted list, and a second, independent one is
compared with that of the string found there. Each has 62 bits: that a string which is not in the
list is taken for one that is happens once in 10^31 strings, for a list of a million.

Nor does the graph hold the strings themselves: a quarter of a million string constants would cost
some fifteen seconds of preparation at the start of a run.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow.compat.v1 as tf

_FINGERPRINTS = 2**62
_KEY = (0x5072696D6572, 0x776F726473)  # Any two numbers; those of the second fingerprint.


class StringLookup:
    """Ids of byte strings, and one id for all others.

    Args:
        ids: string -> id.
        default: the id of any string that is not among them.

    Raises:
        ValueError: two strings have the same first fingerprint (for a million strings, one chance
            in nine million).
    """

    def __init__(self, ids: Mapping[bytes, int], default: int):
        first, second = _fingerprints(list(ids))
        order = np.argsort(first)
        self._first, self._second = first[order], second[order]
        if np.any(self._first[1:] == self._first[:-1]):
            raise ValueError("two strings have the same fingerprint; leave one of them out")
        self._ids = np.fromiter(ids.values(), np.int32, len(ids))[order]
        self._default = np.int32(default)

    def __call__(self, strings: tf.Tensor) -> tf.Tensor:
        """[n] strings -> [n] int32 ids."""
        first, second = _both(strings)
        places = tf.searchsorted(tf.constant(self._first), first)
        places = tf.minimum(places, len(self._first) - 1)
        found = tf.equal(tf.gather(tf.constant(self._first), places), first)
        found &= tf.equal(tf.gather(tf.constant(self._second), places), second)
        ids = tf.gather(tf.constant(self._ids), places)
        return tf.where(found, ids, tf.fill(tf.shape(ids), self._default))


def _both(strings):
    first = tf.strings.to_hash_bucket_fast(strings, _FINGERPRINTS)
    return first, tf.strings.to_hash_bucket_strong(strings, _FINGERPRINTS, _KEY)


def _fingerprints(strings):
    """What the graph will compute, as numpy values, whatever mode TensorFlow is in."""
    with tf.Graph().as_default():
        given = tf.placeholder(tf.string, [None])
        both = _both(given)
        with tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
            return session.run(both, {given: strings})
