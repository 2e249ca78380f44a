"""The lookup of strings in a graph, against a Python dictionary."""

import numpy as np
import pytest
import tensorflow as tf

from primer.common import tf_data
from primer.data.vocabularies import string_lookup
from primer.data.vocabularies.string_lookup import StringLookup


def test_ids_are_those_of_a_dictionary():
    random = np.random.default_rng(5)
    ids = {random.bytes(size % 9 + 1): size for size in range(2000)}
    strings = [*ids, *(random.bytes(4) for _ in range(2000)), b""]
    lookup = StringLookup(ids, -7)
    expected = [ids.get(string, -7) for string in strings]
    assert lookup(tf.constant(strings)).numpy().tolist() == expected
    # In the graph of a pipeline, where nothing initializes a table.
    found = tf_data.elements(lambda: tf.data.Dataset.from_tensors(strings).map(lookup))
    assert next(found).tolist() == expected


def test_no_strings_give_no_ids():
    assert StringLookup({b"a": 3}, 0)(tf.constant([], tf.string)).shape == (0,)


def test_equal_first_fingerprints_are_refused(monkeypatch):
    monkeypatch.setattr(string_lookup, "_fingerprints", lambda strings: (np.array([5, 5]),) * 2)
    with pytest.raises(ValueError, match="same fingerprint"):
        StringLookup({b"a": 3, b"b": 4}, 0)


def test_the_second_fingerprint_must_agree(monkeypatch):
    """A string whose first fingerprint is that of a listed one still gets the default id."""
    lookup = StringLookup({b"a": 3, b"b": 4}, 0)
    lookup._second = lookup._second + 1
    assert lookup(tf.constant(["a", "b"])).numpy().tolist() == [0, 0]
