"""The cutting of long texts, and a sample that does not depend on their order."""

import random

import pytest

from primer.data.vocabulary_training.text_sample import PIECE, Sample, pieces


@pytest.mark.parametrize(
    "text, limit, expected",
    [
        ("short", 9, ["short"]),
        ("", 9, [""]),
        ("one two\nthree four", 10, ["one two", "\nthree", "four"]),
        ("one two three", 8, ["one two", "three"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("\u2603\u2603\u2603", 4, ["\u2603", "\u2603", "\u2603"]),
        ("\n\nab cd", 3, ["\n", "\nab", "cd"]),
    ],
)
def test_a_long_text_is_cut_before_a_line_or_at_a_blank(text, limit, expected):
    assert [piece.decode() for piece in pieces(text.encode(), limit)] == expected


def test_pieces_lose_only_blanks():
    chance = random.Random(3)
    text = "".join(chance.choice("ab\u00e9\u2603 \n") for _ in range(5000))
    for limit in (4, 7, 100):
        found = list(pieces(text.encode(), limit))
        assert all(len(piece) <= limit for piece in found)
        assert b"".join(found).decode().replace(" ", "") == text.replace(" ", "")


def sample_of(texts, limit):
    sample = Sample(limit)
    for text in texts:
        sample.add(text)
    return sample


def test_a_sample_is_the_same_for_any_order_of_texts():
    texts = [bytes([65 + n]) * (PIECE // 2) for n in range(20)]
    first = sample_of(texts, 3 * PIECE)
    assert (first.documents, first.total, first.kept) == (20, 10 * PIECE, 3 * PIECE)
    assert not first.is_whole
    found = list(first.texts())
    assert found == sorted(found) and len(found) == 6
    assert set(sample_of(texts[::-1], 3 * PIECE).texts()) == set(found)
    # A larger one has more of the same.
    assert set(found) < set(sample_of(texts, 4 * PIECE).texts())


def test_a_small_text_is_kept_whole():
    sample = sample_of([b"one", b"two", b"one"], PIECE)
    assert sample.is_whole and list(sample.texts()) == [b"one", b"two", b"one"]
