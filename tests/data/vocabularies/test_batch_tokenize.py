"""Tokenizing many texts at once gives the ids of each text alone."""

import gin
import pytest
import seqio
import tensorflow as tf

from primer.data.vocabularies import TaskVocabulary, batch_tokenize
from primer.data.vocabularies.characters import CharacterVocabulary
from primer.data.vocabularies.lines import LineVocabulary
from primer.data.vocabularies.words import WordVocabulary

TEXTS = ["Fellow citizens:\n\nthe state", "", "caf\xe9 \u2603", " the  end\n"]


@pytest.mark.parametrize(
    "vocabulary",
    [
        TaskVocabulary("sotu"),
        LineVocabulary("sotu"),
        seqio.ByteVocabulary(extra_ids=3),
        CharacterVocabulary("abc \n"),
        WordVocabulary(["the", "end"]),
    ],
    ids=lambda vocabulary: type(vocabulary).__name__,
)
def test_ids_are_those_of_each_text_alone(vocabulary):
    found = batch_tokenize.tokenize_texts(vocabulary, tf.constant(TEXTS))
    assert found.dtype == tf.int32
    assert found.to_list() == [list(vocabulary.encode(text)) for text in TEXTS]


def test_the_chosen_vocabulary_is_used():
    gin.bind_parameter("task_vocabulary.name", "bytes")
    found = batch_tokenize.tokenize_texts(TaskVocabulary("sotu"), tf.constant(["ab"]))
    assert found.to_list() == [[100, 101]]
