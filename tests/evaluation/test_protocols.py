"""How a text is cut and counted, without a model."""

import math

import gin
import numpy as np
import pytest

from primer.errors import UsageError
from primer.evaluation import packing, protocols, tokenized_split, totals, windows
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
    return tokenized_split.of_tokens(ids, lengths or [len(ids)], 1)


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


def test_documents_have_rows_of_their_own():
    cut = windows.documents(tokens(range(1, 12), 5, 1, 4, 1), 4)
    targets, segments = cut.filled(np.arange(1, 12), 0, cut.number)
    assert targets.tolist() == [
        [1, 2, 3, 4],
        [5, 0, 0, 0],
        [6, 0, 0, 0],
        [7, 8, 9, 10],
        [11, 0, 0, 0],
    ]
    assert segments.max() == 1


def test_a_packed_row_has_a_number_for_each_piece():
    cut = windows.packed(tokens(range(1, 12), 5, 1, 4, 1), 4)
    targets, segments = cut.filled(np.arange(1, 12), 0, cut.number)
    assert targets.tolist() == [[1, 2, 3, 4], [5, 6, 11, 0], [7, 8, 9, 10]]
    assert segments.tolist() == [[1] * 4, [1, 2, 3, 0], [1] * 4]


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_sliding_windows_count_every_token_once_with_its_context(stride):
    text = tokens(range(1, 12))
    cut = windows.sliding(text, 4, stride)
    counted = [cut.counted(row, row + 1) for row in range(cut.number)]
    np.testing.assert_array_equal(np.concatenate([t for t, _ in counted]), np.arange(11))
    for row, (numbers, places) in enumerate(counted):
        targets, _ = cut.filled(text.ids, row, row + 1)
        np.testing.assert_array_equal(targets[0, places], text.ids[numbers])
        assert row == 0 or places.min() == 4 - stride
    assert windows.sliding(tokens(range(1, 4)), 4, stride).number == 1


@pytest.mark.parametrize("name", ["stream", "document", "packed", "sliding"])
@pytest.mark.parametrize("seed", range(5))
def test_every_token_is_scored_once_in_the_order_of_the_text(name, seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 11, 30)
    text = tokens(generator.integers(1, 99, lengths.sum()), *lengths)
    scorer, shares = Uniform(), []
    protocol = protocols.Protocol(name, 3 if name == "sliding" else None)
    np.testing.assert_array_equal(protocol.token_nats(scorer, text, shares.append), text.ids)
    assert shares == sorted(shares) and shares[-1] == 1
    if name != "sliding":
        seen = np.concatenate(scorer.seen)
        np.testing.assert_array_equal(np.sort(seen), np.sort(text.ids))


@pytest.mark.parametrize("room, mean", [(64, 30), (512, 30), (512, 300)])
def test_packing_leaves_a_few_percent_of_padding(room, mean):
    lengths = np.minimum(np.random.default_rng(0).poisson(mean, 20_000) + 1, room)
    rows, columns = packing.pack(lengths, room)
    order = np.lexsort((columns, rows))
    ends = (columns + lengths)[order]
    assert ends.max() <= room and rows.max() + 1 == len(np.unique(rows))
    first = np.diff(rows[order], prepend=-1) > 0
    np.testing.assert_array_equal(columns[order], np.where(first, 0, np.roll(ends, 1)))
    share = 1 - lengths.sum() / ((rows.max() + 1) * room)
    assert share < {(64, 30): 0.06, (512, 30): 0.02, (512, 300): 0.45}[room, mean]
    again = packing.pack(lengths, room)
    np.testing.assert_array_equal(again, (rows, columns))


def test_documents_get_one_end_token_each_and_are_counted_before_tokenization():
    made = tokenized_split.of_documents(
        [("One two\nthr\u00e9e", [5, 6, 7]), ("", []), ("a  b", [8])], 1
    )
    assert made.ids.tolist() == [5, 6, 7, 1, 1, 8, 1]
    assert made.lengths.tolist() == [4, 1, 2]
    assert made.bytes == len("One two\nthr\u00e9e".encode()) + 1 + 1 + 4 + 1
    assert made.words == 3 + 0 + 2


def test_the_checksum_tells_streams_apart():
    first = tokenized_split.of_documents([("a", [5, 6])], 1)
    assert first.checksum == tokenized_split.of_documents([("other text", [5, 6])], 1).checksum
    assert first.checksum != tokenized_split.of_documents([("a", [6, 5])], 1).checksum


def test_a_total_is_the_sum_over_all_windows():
    made = tokenized_split.of_documents([("x", range(2, 9)), ("y", [20])], 1)
    scorer, shares = Uniform(), []
    found = protocols.Protocol("stream").evaluate(scorer, made, shares.append)
    assert found.nats == sum(range(2, 9)) + 20 + 2 and found.end_nats == 2
    assert (found.tokens, found.bytes, found.characters) == (10, 4, 4)
    assert (found.words, found.documents) == (2, 2)
    np.testing.assert_array_equal(np.concatenate(scorer.seen), made.ids)
    assert shares == [2 / 3, 1.0]


def test_a_total_has_what_each_document_has():
    made = tokenized_split.of_documents(
        [("ab c", [5, 6, 7]), ("\u00e9", [9]), ("", [])], 1, are_lines=True
    )
    nats = np.array([1, 2, 3, 0.5, 4, 0.25, 0.125], np.float32)
    whole = totals.total(nats, made)
    assert (whole.nats, whole.end_nats, whole.documents) == (10.875, 0.875, 3)
    assert (whole.tokens, whole.bytes, whole.characters, whole.words) == (7, 9, 8, 6)
    parts = totals.per_document(nats, made)
    assert [part.nats for part in parts] == [6.5, 4.25, 0.125]
    assert [part.end_nats for part in parts] == [0.5, 0.25, 0.125]
    for key in ("nats", "end_nats", "tokens", "bytes", "characters", "words", "documents"):
        assert sum(getattr(part, key) for part in parts) == getattr(whole, key)


def test_sums_are_in_float64():
    """In float32 a sum of millions of tokens stops growing."""
    number = 30_000_000
    made = tokens(np.ones(number, np.int32))
    nats = np.full(number, 0.7, np.float32)
    expected = number * float(np.float32(0.7))
    assert totals.total(nats, made).nats == pytest.approx(expected, rel=1e-12)


def test_the_standard_error_is_that_of_drawing_documents():
    """Against the spread of the mean over many draws of as many documents."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 40, 400)
    sums = lengths * generator.gamma(9, 1 / 3, 400)
    draws = generator.integers(0, 400, [4000, 400])
    spread = np.std(sums[draws].sum(1) / lengths[draws].sum(1))
    made = tokens(np.ones(lengths.sum()), *lengths)
    found = totals.total(np.repeat(sums / lengths, lengths), made).standard_error
    assert found == pytest.approx(spread, rel=0.05)
    assert math.isnan(totals.total(np.ones(3), tokens([1, 2, 3])).standard_error)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(name="packd"), "expected one of stream, document, packed, sliding, as_released"),
        (dict(name="sliding"), "protocol.stride = None .* needs a positive number of tokens"),
        (dict(name="sliding", stride=0), "protocol.stride = 0"),
        (dict(name="sliding", stride=2.0), "protocol.stride = 2.0"),
        (dict(name="packed", stride=8), "protocol.stride = 8 .* is for the protocol sliding"),
        (dict(units=["words"]), "protocol.units has 'words': expected some of nats_per_token"),
    ],
)
def test_a_protocol_that_is_none_is_refused(settings, message):
    for name, value in settings.items():
        gin.bind_parameter(f"protocol.{name}", value)
    with pytest.raises(UsageError, match=message) as error:
        protocols.chosen()
    assert len(str(error.value).splitlines()) == 1


def test_a_stride_longer_than_the_window_is_refused():
    protocol = protocols.Protocol("sliding", 17)
    with pytest.raises(UsageError, match="protocol.stride = 17 .* window of 16 tokens"):
        protocol.check(16)
    protocol.check(17)
    assert protocol.label == "sliding_17" and protocols.chosen().label == "stream"


def test_a_protocol_says_what_it_does():
    for name in ("stream", "document", "packed"):
        said = protocols.Protocol(name).describe("test", 16, ["A caveat."])
        assert said.startswith("Whole test split") and "16 tokens" in said
        assert said.endswith("A caveat.")
    assert "at least 12 tokens" in protocols.Protocol("sliding", 4).describe("test", 16)


def test_units_are_one_total_over_different_denominators():
    found = Totals(50 * math.log(2), tokens=25, bytes=100, words=10, documents=2, characters=80)
    assert found.nats_per_token == pytest.approx(2 * math.log(2))
    assert found.perplexity_per_token == pytest.approx(4)
    assert found.bits_per_byte == pytest.approx(0.5)
    assert found.bits_per_character == pytest.approx(0.625)
    assert found.perplexity_per_word == pytest.approx(2**5)
    assert found.as_dict()["documents"] == 2


def test_units_without_a_number():
    assert math.isnan(Totals(1.0, 1, 1, 0, 1).perplexity_per_word)
    assert Totals(1e6, 1, 1, 1, 1).perplexity_per_token == math.inf
    row = totals.total(np.ones(3), tokens([1, 2, 3])).as_dict()
    assert row["nats_per_token"] == 1 and row["tokens"] == 3
    for key in ("bits_per_byte", "bits_per_character", "perplexity_per_word", "bytes", "words"):
        assert math.isnan(row[key])


def test_sotu_validation_is_read_whole():
    from primer.data.sources import sotu
    from primer.data.vocabularies.task_vocabulary import SOTU_MODEL

    made = tokenized_split.read("sotu", "validation")
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
        tokenized_split.read(task, split)
