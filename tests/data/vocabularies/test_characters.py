"""The vocabulary of characters: the same ids in Python and in the graph, and lossless files."""

import copy

import gin
import pytest
import seqio
import tensorflow as tf

from primer.common import tf_data
from primer.data.vocabularies import characters, vocabulary_file
from primer.data.vocabularies.characters import CharacterVocabulary, spell, unspell
from primer.data.vocabularies.task_vocabulary import TaskVocabulary
from primer.errors import UsageError

STRANGE = ["\n", "\t", " ", "\\", "\u2028", "\u00a0", "\x00", "\u0301", "\U0001f600", "\u4e2d", "a"]


def bind(**settings):
    for name, value in settings.items():
        gin.bind_parameter(f"task_vocabulary.{name}", value)


def test_without_a_file_the_characters_are_text8s():
    bind(name="characters")
    vocabulary = TaskVocabulary("t5")
    text = "anarchism originated as a term of abuse first used against early working class"
    ids = vocabulary.encode(text)
    assert ids == [3 + " abcdefghijklmnopqrstuvwxyz".index(character) for character in text]
    assert vocabulary.encode_tf(tf.constant(text)).numpy().tolist() == ids
    assert vocabulary.decode(ids) == text
    assert (vocabulary.vocab_size, vocabulary.pad_id, vocabulary.eos_id) == (30, 0, 1)
    assert vocabulary.file() is None
    assert vocabulary.identity().startswith("characters ")


@pytest.mark.parametrize("text", ["", "abc", "A b\u00e9c\U0001f600 z\n", "".join(STRANGE)])
def test_the_graph_gives_the_ids_of_python(text):
    vocabulary = CharacterVocabulary()
    ids = vocabulary.encode(text)
    assert len(ids) == len(text)
    assert vocabulary.encode_tf(tf.constant(text)).numpy().tolist() == ids
    data = tf_data.elements(lambda: tf.data.Dataset.from_tensors(text).map(vocabulary.encode_tf))
    assert next(data).tolist() == ids
    decoded = vocabulary.decode_tf(tf.constant(ids, tf.int32)).numpy().decode()
    assert decoded == vocabulary.decode(ids)
    assert decoded == "".join(c if c in characters.TEXT8 else "\u2047" for c in text)


def test_several_texts_at_once():
    vocabulary = CharacterVocabulary("ab")
    assert vocabulary.encode_tf(tf.constant(["ab", "", "c"])).to_list() == [[3, 4], [], [2]]
    rows = tf.constant([[3, 1, 4, 0], [4, 0, 0, 0]])
    assert vocabulary.decode_tf(rows).numpy().tolist() == [b"a", b"b"]
    assert vocabulary.decode([3, 1, 4]) == "a"
    assert vocabulary.decode([3, 99]) == "a\u2047"


def test_files_keep_every_character(tmp_path):
    counts = characters.count_characters(["".join(STRANGE) * 2 + "a"])
    found = vocabulary_file.most_frequent(counts)
    assert found == ["a", *STRANGE[:-1]]
    path = tmp_path / "characters.txt"
    path.write_bytes(vocabulary_file.format_vocabulary(found, counts, spell))
    assert path.read_text().splitlines()[3:6] == ["a\t3", "\\n\t2", "\\t\t2"]
    bind(name="characters", model_file=str(path))
    vocabulary = TaskVocabulary("t5")
    text = "".join(STRANGE)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert 2 not in vocabulary.encode_tf(tf.constant(text)).numpy()
    assert vocabulary.vocab_size == 3 + len(STRANGE)
    assert vocabulary.file() == ("vocabulary.txt", path.read_bytes())


def test_spellings_are_unique_and_without_white_space():
    codes = [*range(0xD800), *range(0xE000, 0x30000)]
    assert all(unspell(spell(chr(code))) == chr(code) for code in codes)
    assert all(len(spell(chr(code)).split()) == 1 for code in codes)
    for wrong in ("ab", "\\", "\\x2"):
        with pytest.raises(ValueError):
            unspell(wrong)


def test_a_file_of_words_is_refused(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("a\t3\nword\t2\n")
    bind(name="characters", model_file=str(path))
    with pytest.raises(UsageError, match="line 2 .*'word' is not one character") as error:
        TaskVocabulary("t5").resolve()
    assert "\n" not in str(error.value)


def test_vocabularies_can_be_copied_and_compared():
    vocabulary = CharacterVocabulary("ab")
    assert copy.deepcopy(vocabulary) == vocabulary
    assert vocabulary != CharacterVocabulary("ba") and vocabulary != seqio.ByteVocabulary()
