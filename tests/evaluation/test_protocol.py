"""How a text is cut and counted, without a model."""

import math

import numpy as np
import pytest

from primer.errors import UsageError
from primer.evaluation import protocols, text, windows
from primer.evaluation.totals import Totals


class Uniform:
    """Stands in for a scorer: each token costs its own id, and windows are remembered."""

    length, rows = 4, 2

    def __init__(self):
        self.seen = []

    def nats(self, targets, segments):
        self.seen.append(targets[segments > 0])
        return np.where(segments > 0, targets, 0).astype(np.float32)


def tokens(ids, *lengths):
    """A text of tokens alone, in documents of these lengths or in one."""
    ids = np.asarray(ids, np.int32)
    return text.of_tokens(ids, lengths or [len(ids)], 1)


def test_windows_hold_every_token_once():
    cut = windows.stream(tokens(np.arange(1, 11)), 4)
    targets, segments = cut.filled(np.arange(1, 11), 0, cut.number)
    assert targets.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]]
    assert segments.tolist() == [[1] * 4, [1] * 4, [1, 1, 0, 0]]


@pytest.mark.parametrize("length", [1, 3, 5, 16])
def test_windows_of_any_length_give_the_stream_back(length):
    ids = np.random.default_rng(0).integers(1, 99, 15).astype(np.int32)
    cut = windows.stream(tokens(ids), length)
    targets, segments = cut.filled(ids, 0, cut.number)
    assert targets.shape == segments.shape == (math.ceil(15 / length), length)
    np.testing.assert_array_equal(targets[segments > 0], ids)


def test_documents_get_one_end_token_each_and_are_counted_before_tokenization():
    made = text.of_documents([("One two\nthr\u00e9e", [5, 6, 7]), ("", []), ("a  b", [8])], 1)
    assert made.ids.tolist() == [5, 6, 7, 1, 1, 8, 1]
    assert made.lengths.tolist() == [4, 1, 2]
    assert made.bytes == len("One two\nthr\u00e9e".encode()) + 1 + 1 + 4 + 1
    assert made.words == 3 + 0 + 2


def test_the_checksum_tells_streams_apart():
    first = text.of_documents([("a", [5, 6])], 1)
    assert first.checksum == text.of_documents([("other text", [5, 6])], 1).checksum
    assert first.checksum != text.of_documents([("a", [6, 5])], 1).checksum


def test_a_total_is_the_sum_over_all_windows():
    made = text.of_documents([("x", range(2, 9)), ("y", [20])], 1)
    scorer, shares = Uniform(), []
    totals = protocols.Protocol("stream").evaluate(scorer, made, shares.append)
    assert totals.nats == sum(range(2, 9)) + 20 + 2 and totals.end_nats == 2
    assert (totals.tokens, totals.bytes, totals.characters) == (10, 4, 4)
    assert (totals.words, totals.documents) == (2, 2)
    np.testing.assert_array_equal(np.concatenate(scorer.seen), made.ids)
    assert shares == [2 / 3, 1.0]


def test_units_are_one_total_over_different_denominators():
    totals = Totals(nats=50 * math.log(2), tokens=25, bytes=100, words=10, documents=2)
    assert totals.nats_per_token == pytest.approx(2 * math.log(2))
    assert totals.perplexity_per_token == pytest.approx(4)
    assert totals.bits_per_byte == pytest.approx(0.5)
    assert totals.perplexity_per_word == pytest.approx(2**5)
    assert totals.as_dict()["documents"] == 2


def test_units_without_a_number():
    assert math.isnan(Totals(1.0, 1, 1, 0, 1).perplexity_per_word)
    assert Totals(1e6, 1, 1, 1, 1).perplexity_per_token == math.inf


def test_sotu_validation_is_read_whole():
    from primer.data import sotu
    from primer.data.vocabularies import SOTU_MODEL

    made = text.read("sotu", "validation")
    content = [open(path, encoding="utf-8").read() for path in sotu.paths("validation")]
    assert len(made.lengths) == 12 == np.sum(made.ids == 1)
    assert made.lengths.sum() == len(made.ids)
    assert made.words == sum(len(document.split()) for document in content)
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=SOTU_MODEL)
    assert len(made.ids) == sum(len(pieces.encode(document)) + 1 for document in content)


@pytest.mark.parametrize(
    "task, split, message", [("sotu", "dev", "no split 'dev'"), ("sotuu", "train", "sotuu")]
)
def test_an_unknown_split_or_task_is_one_clear_line(task, split, message):
    import primer.data.tasks  # noqa: F401

    with pytest.raises(UsageError, match=message):
        text.read(task, split)
