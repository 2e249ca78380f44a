"""Vocabulary files: which entries get which ids, what is written, and which lines are refused."""

from collections import Counter

import gin
import pytest

from primer.data.vocabularies import TaskVocabulary, vocabulary_file
from primer.data.vocabularies import words as word_vocabulary
from primer.errors import UsageError


def bind(**settings):
    for name, value in settings.items():
        gin.bind_parameter(f"task_vocabulary.{name}", value)


def test_entries_are_sorted_by_count_then_first_occurrence():
    counts = word_vocabulary.count_words(["b a c a\nc <unk> <pad>", "d b a"])
    assert vocabulary_file.most_frequent(counts) == ["a", "b", "c", "d"]
    assert vocabulary_file.most_frequent(counts, min_count=2) == ["a", "b", "c"]
    assert vocabulary_file.most_frequent(counts, size=5) == ["a", "b"]
    assert counts["<eos>"] == 1 and counts["<unk>"] == 1


def test_what_is_written_is_read_again():
    counts = Counter({"of": 2, "the": 3, "<unk>": 1, "caf\xe9": 1})
    entries = vocabulary_file.most_frequent(counts)
    content = vocabulary_file.format_vocabulary(entries, counts, str.upper)
    expected = "<pad>\t0\n<eos>\t0\n<unk>\t1\nTHE\t3\nOF\t2\nCAF\xc9\t1\n"
    assert content.decode() == expected
    assert vocabulary_file.parse_vocabulary(content, "V.txt", str.lower) == entries


def test_files_of_other_programs_are_read(tmp_path):
    """With counts after a blank, or none; `<unk>` keeps its id wherever it stands."""
    path = tmp_path / "others.txt"
    bind(name="words", model_file=str(path))
    for content in ("the 9\n<unk> 5\nof 3\n", "<eos>\nthe\n<unk>\nof", "the\rof\r\n"):
        path.write_text(content)
        vocabulary = TaskVocabulary("t5")
        assert vocabulary.encode("of the <unk>\n") == [4, 3, 2, 1]


@pytest.mark.parametrize(
    "content, words",
    [
        (b"the 3\nof x\n", ["line 2"]),
        (b"the\t3\nof\t2\nthe\t1\n", ["line 3", "'the' is in line 1"]),
        (b"the\t3\ncaf\xe9\t2\n", ["line 2"]),
        (b"one two three\n", ["line 1"]),
        (b"<pad>\t0\n<eos>\t0\n<unk>\t0\n", ["no entry"]),
        (b"", ["no entry"]),
    ],
)
def test_invalid_lines_are_refused(tmp_path, content, words):
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    bind(name="words", model_file=str(path))
    with pytest.raises(UsageError) as error:
        TaskVocabulary("t5").resolve()
    message = str(error.value)
    assert "\n" not in message and all(word in message for word in [str(path), *words]), message
