"""The vocabulary of lines: every line feed is the end token, in Python and in the graph."""

import gin
import pytest
import tensorflow as tf

from primer.data.vocabularies.lines import LineVocabulary


@pytest.mark.parametrize("text", ["ab\nc", "", "\n", "\n\na\n", "one line"])
@pytest.mark.parametrize("name", ["bytes", "sotu"])
def test_lines_are_encoded_one_by_one(name, text):
    gin.bind_parameter("task_vocabulary.name", name)
    vocabulary = LineVocabulary("t5")
    chosen = vocabulary.resolve()
    expected = []
    for number, line in enumerate(text.split("\n")):
        expected += [1] * (number > 0) + list(chosen.encode(line))
    assert vocabulary.encode(text) == expected
    assert vocabulary.encode_tf(tf.constant(text)).numpy().tolist() == expected
    assert vocabulary.decode([*expected, 1]) == text  # With the end token of the text.


def test_many_texts_are_encoded_as_each_one():
    vocabulary = LineVocabulary("bytes")
    texts = ["a\nb", "", "\n"]
    assert vocabulary.encode_texts(tf.constant(texts)).to_list() == [[100, 1, 101], [], [1]]


def test_decoding_drops_padding_and_the_last_end():
    vocabulary = LineVocabulary("bytes")
    assert vocabulary.decode([100, 1, 101, 1, 0, 0]) == "a\nb"
    assert vocabulary.decode([100, 1, 1]) == "a\n"
    assert vocabulary.decode([]) == vocabulary.decode([0, 0]) == ""
