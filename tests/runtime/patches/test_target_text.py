"""Evaluation examples of language-model tasks have the text of their targets."""

import types

import pytest
import seqio
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import dataset

from primer.runtime.patches import target_text

BYTES = seqio.ByteVocabulary()


def texts(examples):
    """The texts with which the patched `eval_model` evaluates the examples, in a session."""
    found = []

    def eval_model(estimator, vocabulary, eval_dataset_fn=None):
        (evaluated,) = eval_dataset_fn(split="test")
        following = tf.data.make_one_shot_iterator(evaluated.dataset_fn(split="test")).get_next()
        with tf.Session() as sess:
            for _ in range(2):
                found.append(sess.run(following)[target_text.TEXT].decode())
        return "result"

    utils = types.SimpleNamespace(eval_model=eval_model, targets_vocabulary=lambda pair: pair[1])
    target_text.patch(utils)

    def datasets(split):
        made = tf.data.Dataset.from_tensor_slices(examples)
        return [dataset.EvalDataset("name", lambda split: made, None, None)]

    with tf.Graph().as_default():
        assert utils.eval_model(None, (None, BYTES), eval_dataset_fn=datasets) == "result"
    return found


@pytest.fixture
def ids():
    return {"targets": [BYTES.encode("ab"), BYTES.encode("cd")]}


def test_a_missing_text_is_decoded(ids):
    assert texts(ids) == ["ab", "cd"]


def test_an_existing_text_is_kept(ids):
    assert texts({**ids, target_text.TEXT: ["A B", "C D"]}) == ["A B", "C D"]
