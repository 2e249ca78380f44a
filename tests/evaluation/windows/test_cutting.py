"""Windows of streams and documents: which token stands where, and which row counts it."""

import math

import numpy as np
import pytest

from primer.evaluation import tokenized_split
from primer.evaluation.windows import cutting


def tokens(ids, *lengths):
    """A text of tokens alone, in documents of these lengths or in one."""
    ids = np.asarray(ids, np.int32)
    return tokenized_split.from_tokens(ids, lengths or [len(ids)], 1)


def test_stream_rows_hold_every_token_once():
    cut = cutting.stream(tokens(np.arange(1, 11)), 4)
    targets, segments = cut.fill_rows(np.arange(1, 11), 0, cut.num_rows)
    assert targets.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]]
    assert segments.tolist() == [[1] * 4, [1] * 4, [1, 1, 0, 0]]


@pytest.mark.parametrize("length", [1, 3, 5, 16])
def test_stream_windows_of_any_length_join_to_the_stream(length):
    ids = np.random.default_rng(0).integers(1, 99, 15).astype(np.int32)
    cut = cutting.stream(tokens(ids), length)
    targets, segments = cut.fill_rows(ids, 0, cut.num_rows)
    assert targets.shape == segments.shape == (math.ceil(15 / length), length)
    np.testing.assert_array_equal(targets[segments > 0], ids)


def test_documents_have_rows_of_their_own():
    cut = cutting.documents(tokens(range(1, 12), 5, 1, 4, 1), 4)
    targets, segments = cut.fill_rows(np.arange(1, 12), 0, cut.num_rows)
    assert targets.tolist() == [
        [1, 2, 3, 4],
        [5, 0, 0, 0],
        [6, 0, 0, 0],
        [7, 8, 9, 10],
        [11, 0, 0, 0],
    ]
    assert segments.max() == 1


def test_a_packed_row_has_a_number_for_each_piece():
    cut = cutting.packed(tokens(range(1, 12), 5, 1, 4, 1), 4)
    targets, segments = cut.fill_rows(np.arange(1, 12), 0, cut.num_rows)
    assert targets.tolist() == [[1, 2, 3, 4], [5, 6, 11, 0], [7, 8, 9, 10]]
    assert segments.tolist() == [[1] * 4, [1, 2, 3, 0], [1] * 4]


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_sliding_windows_count_every_token_once_with_its_context(stride):
    text = tokens(range(1, 12))
    cut = cutting.sliding(text, 4, stride)
    counted = [cut.counted_tokens(row, row + 1) for row in range(cut.num_rows)]
    np.testing.assert_array_equal(np.concatenate([t for t, _ in counted]), np.arange(11))
    for row, (numbers, places) in enumerate(counted):
        targets, _ = cut.fill_rows(text.ids, row, row + 1)
        np.testing.assert_array_equal(targets[0, places], text.ids[numbers])
        assert row == 0 or places.min() == 4 - stride
    assert cutting.sliding(tokens(range(1, 4)), 4, stride).num_rows == 1
