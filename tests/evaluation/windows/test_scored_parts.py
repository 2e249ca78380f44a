"""Splits of which only the answers are scored: losses, first choices, and what scores them."""

import gin
import numpy as np
import pytest

from primer.errors import UsageError
from primer.evaluation import report
from primer.evaluation.paired import document_sums
from primer.evaluation.protocols import Protocol, configured_protocol
from primer.evaluation.windows import scored_parts
from tests.evaluation import tiny

PACKED = Protocol("packed")


@pytest.fixture
def scorer():
    tiny.configure("transformer", "relu")
    made = tiny.scorer()
    tiny.randomize(made, 0.4)
    return made


def examples(number=7, length=6):
    generator = np.random.default_rng(0)
    ids = generator.integers(3, tiny.VOCABULARY, number * length)
    marks = generator.random(number * length) < 0.3
    lengths = np.full(number, length)
    return scored_parts.AnswerSplit(ids, lengths, np.zeros([0], np.int64), predicted=marks)


def test_answers_have_their_loss_and_other_tokens_none(scorer):
    text = examples()
    nats, best = PACKED.token_nats_and_best(scorer, text)
    rows = text.ids.reshape(7, 6)
    for place, row in enumerate(rows):  # Each example alone.
        padded = np.zeros([1, tiny.LENGTH], int)
        padded[0, :6] = row
        own, first = scorer.nats_and_best(padded)
        mask = text.predicted.reshape(7, 6)[place]
        np.testing.assert_allclose(
            nats.reshape(7, 6)[place], own[0, :6] * mask, rtol=1e-4, atol=1e-5
        )
        np.testing.assert_array_equal(best.reshape(7, 6)[place], first[0, :6] & mask)
    np.testing.assert_array_equal(PACKED.token_nats(scorer, text), nats)
    total = PACKED.total_of(nats, text)
    assert total.tokens == text.predicted.sum() < len(text.ids) and total.end_nats == 0
    assert list(document_sums.of_text(nats, text).counts) == ["tokens"]
    assert "Answers of the whole validation split" in PACKED.describe("validation", 16, text=text)


def test_the_checksum_depends_on_the_answers():
    text = examples()
    other = scored_parts.AnswerSplit(text.ids, text.lengths, text.ends, predicted=~text.predicted)
    assert text.checksum == examples().checksum != other.checksum


def test_a_probe_is_read_with_its_answers():
    gin.parse_config(["mqar.pairs = 3", "mqar.length = 16", "mqar.validation_examples = 70"])
    text = PACKED.read_split("mqar", "validation", 16)
    assert len(text.ids) == 70 * 16 and text.ids.min() > 0
    assert set(text.counted_lengths) == {3} and scored_parts.is_of_answers(text)
    for name in ("stream", "as_released", "transformer_xl"):
        with pytest.raises(UsageError, match="only the answers of task mqar.*packed or document"):
            Protocol(name).read_split("mqar", "validation", 16)
    assert not scored_parts.marks_answers("sotu")


def test_accuracy_is_a_setting_of_the_protocol():
    assert configured_protocol().accuracy is None
    gin.parse_config(["protocol.accuracy = True"])
    assert configured_protocol().accuracy is True
    with pytest.raises(UsageError, match=r"protocol.accuracy \(--accuracy\) = 1"):
        Protocol("stream", accuracy=1)


def test_counts_are_those_of_answers():
    row = {"protocol": "packed", "tokens": 5, "text_checksum": "a", "counted": "answers"}
    assert report.describe_counts(row) == "Over 5 answers; checksum a."
