"""The vocabulary of words: as in Transformer-XL, with the same ids in Python and in the graph."""

import copy
import os
import pickle
import subprocess
from collections import Counter

import gin
import pytest
import seqio
import tensorflow as tf

from primer.common import tf_data
from primer.data.vocabularies import vocabulary_file, words
from primer.data.vocabularies.task_vocabulary import TaskVocabulary
from primer.data.vocabularies.words import WordVocabulary

TEXT = " = Homarus = \n \n the <unk> lobster , the <eos> <pad> caf\u00e9\u00a0bar\t\u2603 \r\n end"


@pytest.fixture
def vocabulary():
    counts = words.count_words(["the the lobster caf\u00e9\u00a0bar = , <unk> end"])
    return WordVocabulary(vocabulary_file.most_frequent(counts))


def in_graph(vocabulary, text):
    """`encode_tf` as in t5's main: no eager execution, and no initialization of tables."""

    def ids():
        return tf.data.Dataset.from_tensors(text).map(vocabulary.encode_tf)

    (result,) = tf_data.elements(ids)
    return result.tolist()


def test_every_line_end_is_one_token(vocabulary):
    for text in ("the\nthe", "the\rthe", "the\r\nthe"):
        assert vocabulary.encode(text) == in_graph(vocabulary, text) == [3, 1, 3]
    assert vocabulary.encode("the\x0cthe\u2028") == in_graph(vocabulary, "the\x0cthe\u2028")


def test_a_text_becomes_words_and_line_ends(vocabulary):
    the, lobster, bar, equals, comma, end = range(3, 9)
    line = [equals, 2, equals, 1, 1]
    expected = [*line, the, 2, lobster, comma, the, 1, 2, bar, 2, 1, end]
    assert vocabulary.encode(TEXT) == expected
    assert (vocabulary.pad_id, vocabulary.eos_id, vocabulary.unk_id) == (0, 1, 2)
    assert vocabulary.vocab_size == 9


@pytest.mark.parametrize("text", [TEXT, "", "\n", "\n\n", " ", "the", "the\n", "\x1c\x85\u2028 a"])
def test_the_graph_gives_the_ids_of_python(vocabulary, text):
    assert vocabulary.encode_tf(tf.constant(text)).numpy().tolist() == vocabulary.encode(text)
    assert in_graph(vocabulary, text) == vocabulary.encode(text)


def test_several_texts_at_once(vocabulary):
    texts = ["the lobster", "", "the\n"]
    several = vocabulary.encode_tf(tf.constant(texts))
    assert several.to_list() == [vocabulary.encode(text) for text in texts]


@pytest.mark.parametrize(
    "ids, text",
    [
        ([3, 4], "the lobster"),
        ([1, 3, 1, 1, 4, 1], "\nthe\n\nlobster\n"),
        ([3, 2, 99, 0, 0], "the <unk> <unk>"),
        ([0, 0], ""),
        ([], ""),
    ],
)
def test_decoding_keeps_lines(vocabulary, ids, text):
    assert vocabulary.decode(ids) == text
    assert vocabulary.decode_tf(tf.constant(ids, tf.int32)).numpy().decode() == text
    rows = tf.constant([ids, ids], tf.int32)
    assert [row.decode() for row in vocabulary.decode_tf(rows).numpy()] == [text, text]


def test_wikitext_2_has_the_counts_of_unix_tools(shared_data):
    """Types and counts against `tr`, `sort` and `uniq`; word numbers against the published ones."""
    paths = [shared_data / "wikitext-2" / f"wiki.{split}.tokens" for split in ("valid", "test")]
    pipe = "cat \"$@\" | tr ' ' '\\n' | grep -v '^$' | sort | uniq -c"
    done = subprocess.run(
        ["bash", "-c", pipe, "sh", *map(str, paths)],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        check=True,
    )
    expected = Counter()
    for line in done.stdout.decode().splitlines():
        number, word = line.split()
        expected[word] = int(number)
    texts = [path.read_text(encoding="utf-8") for path in paths]
    counts = words.count_words(texts)
    lines = counts.pop("<eos>")
    assert counts == expected
    assert lines == sum(text.count("\n") for text in texts)
    # README of the data: 217,646 and 245,569 words with one end per line.
    assert sum(counts.values()) + lines == 217_646 + 245_569
    vocabulary = WordVocabulary(vocabulary_file.most_frequent(counts))
    assert vocabulary.vocab_size == len(expected) + 2  # <unk> is one of the words.
    ids = vocabulary.encode(texts[0])
    assert (len(ids), ids.count(1), ids.count(2)) == (
        217_646,
        texts[0].count("\n"),
        texts[0].split().count("<unk>"),
    )
    assert vocabulary.encode_tf(tf.constant(texts[0])).numpy().tolist() == ids
    assert vocabulary.decode(ids).split() == texts[0].split()


def bind(**settings):
    for name, value in settings.items():
        gin.bind_parameter(f"task_vocabulary.{name}", value)


def test_gin_chooses_a_file_that_was_written(tmp_path):
    counts = words.count_words(["the the \\x lobster\n<unk>"])
    path = tmp_path / "words.txt"
    path.write_bytes(
        vocabulary_file.format_vocabulary(vocabulary_file.most_frequent(counts), counts)
    )
    assert path.read_text() == "<pad>\t0\n<eos>\t1\n<unk>\t1\nthe\t2\n\\x\t1\nlobster\t1\n"
    bind(name="words", model_file=str(path))
    vocabulary = TaskVocabulary("t5")
    assert vocabulary.encode("lobster \\x the") == [5, 4, 3]
    assert (vocabulary.vocab_size, vocabulary.eos_id) == (6, 1)
    assert vocabulary.decode([3, 1, 4]) == "the\n\\x"
    assert vocabulary.file() == ("vocabulary.txt", path.read_bytes())


def test_identity_follows_the_words_and_not_their_counts(tmp_path):
    path = tmp_path / "words.txt"
    bind(name="words", model_file=str(path))
    found = []
    for content in ("the\t3\nof\t2\n", "the\t30\nof\t20\n", "of\t3\nthe\t2\n"):
        path.write_text(content)
        found.append(TaskVocabulary("t5").identity())
    assert found[0] == found[1] != found[2]
    assert found[0].startswith("words ") and found[0].endswith(", 5 ids")


def test_vocabularies_can_be_copied_pickled_and_compared(vocabulary):
    vocabulary.encode_tf(tf.constant("the"))
    for twin in (copy.deepcopy(vocabulary), pickle.loads(pickle.dumps(vocabulary))):
        assert twin == vocabulary and twin.encode_tf(tf.constant("the")).numpy().tolist() == [3]
    assert vocabulary != WordVocabulary(["the"]) and vocabulary != seqio.ByteVocabulary()
    more = WordVocabulary(["the"], extra_ids=2)
    assert (more.vocab_size, more.decode([5, 3])) == (6, "<unk> the")
