"""The vocabulary that Mesh-TF's model function gets."""

import types

import pytest
import seqio
import tensorflow.compat.v1 as tf

from primer.runtime.patches import score_ids

BYTES = seqio.ByteVocabulary()


@pytest.fixture
def utils():
    """Mesh-TF's utils, whose estimator is the settings that it gets."""
    module = types.SimpleNamespace(get_estimator=lambda **settings: settings)
    score_ids.patch(module)
    return module


def test_a_scoring_estimator_gets_vocabularies_that_decode_in_exports_only(utils):
    made = utils.get_estimator(vocabulary=(BYTES, BYTES), score_in_predict_mode=True, x=1)
    assert made["x"] == 1
    for vocabulary in made["vocabulary"]:
        assert vocabulary.vocab_size == BYTES.vocab_size
        with tf.Graph().as_default() as graph:
            assert not hasattr(vocabulary, "decode_tf")
            with score_ids.exporting():
                assert vocabulary.decode_tf == BYTES.decode_tf
                with tf.Graph().as_default():
                    assert not hasattr(vocabulary, "decode_tf")
            assert not hasattr(vocabulary, "decode_tf")
            assert not graph.get_all_collection_keys()


def test_other_estimators_get_the_vocabulary_itself(utils):
    for settings in ({}, {"score_in_predict_mode": False}):
        assert utils.get_estimator(vocabulary=BYTES, **settings)["vocabulary"] is BYTES
