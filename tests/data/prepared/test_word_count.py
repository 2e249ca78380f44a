"""Word counts against `str.split`."""

import pytest

from primer.data.prepared import word_count


@pytest.mark.parametrize(
    "words", ["", " ", "a", " a b\n\nc ", "\x1ca\x1fb\x0bc", "caf\xe9\u2003x\xa0y\u200bz"]
)
def test_words_are_those_of_str_split(words):
    for content in (words, words * 500):
        assert word_count.count_words(content.encode()) == len(content.split())
