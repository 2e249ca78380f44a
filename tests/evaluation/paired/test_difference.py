"""Paired differences against scipy's paired t test and a bootstrap over documents."""

import math
import os

import numpy as np
import pytest
from scipy import stats

from primer.evaluation.paired import difference, document_sums
from tests.evaluation.paired.two_models import evaluated, losses, text_of

LENGTHS = np.random.default_rng(1).integers(1, 40, 60)


def rows_of(folder, first=None, second=None, **changes):
    """The rows of two models on one text, or on the same words in two vocabularies."""
    first = first or text_of(LENGTHS)
    second = second or first
    base = evaluated(folder / "base", first, losses(first, 1), **changes)
    return evaluated(folder / "own", second, losses(second, 2, -0.05), **changes), base


def only(row, base):
    unit = difference.common_unit([row, base])
    (found,) = difference.differences([row], base, unit)
    return found


def spread(row, base, unit):
    """The standard deviation of the difference over draws of as many documents."""
    own, other = document_sums.read(row), document_sums.read(base)
    draws = np.random.default_rng(2).integers(0, len(own.nats), [20_000, len(own.nats)])
    counts = ("tokens", 1) if unit == difference.NATS_PER_TOKEN else ("bytes", math.log(2))
    ratios = [
        sums.nats[draws].sum(1) / counts[1] / sums.counts[counts[0]][draws].sum(1)
        for sums in (own, other)
    ]
    return np.std(ratios[0] - ratios[1])


def test_the_error_is_that_of_drawing_documents_for_both_models(tmp_path):
    row, base = rows_of(tmp_path)
    found = only(row, base)
    assert found.unit == difference.NATS_PER_TOKEN and found.remark is None
    assert found.value == row["nats_per_token"] - base["nats_per_token"]
    assert found.standard_error == pytest.approx(spread(row, base, found.unit), rel=0.05)


def test_a_difference_below_the_errors_of_the_losses_is_seen(tmp_path):
    """The losses' own errors read as no difference."""
    row, base = rows_of(tmp_path)
    found = only(row, base)
    assert abs(found.value) < row["standard_error"] / 2
    assert found.ratio < -4 and found.interval[1] < 0


def test_documents_of_equal_lengths_are_a_paired_t_test(tmp_path):
    row, base = rows_of(tmp_path, text_of([7] * 9))
    found = only(row, base)
    own, other = (
        sums.nats / sums.counts["tokens"] for sums in map(document_sums.read, (row, base))
    )
    expected = stats.ttest_rel(own, other)
    assert found.ratio == pytest.approx(expected.statistic)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_other_vocabularies_are_compared_in_bits_per_byte(tmp_path):
    row, base = rows_of(tmp_path, second=text_of(LENGTHS, 3, vocabulary=10))
    found = only(row, base)
    assert found.unit == difference.BITS_PER_BYTE
    assert found.value == row["bits_per_byte"] - base["bits_per_byte"]
    assert found.standard_error == pytest.approx(spread(row, base, found.unit), rel=0.05)


def test_the_same_losses_have_no_difference(tmp_path):
    text = text_of(LENGTHS)
    row, base = (evaluated(tmp_path / name, text, losses(text, 1)) for name in "ab")
    found = only(row, base)
    assert (found.value, found.standard_error, found.interval) == (0, 0, (0, 0))
    assert math.isnan(found.ratio)


def test_the_reason_for_no_error_is_given(tmp_path):
    row, base = rows_of(tmp_path / "released", protocol="as_released")
    assert "not independent" in only(row, base).remark
    row, base = rows_of(tmp_path / "one", text_of([30]))
    assert only(row, base).remark == "the text is one document"
    # The same bytes in all, in documents of another order.
    row, base = rows_of(tmp_path / "order", second=text_of(LENGTHS[::-1], vocabulary=10))
    assert "same order" in only(row, base).remark
    os.remove(document_sums.path_of(base))
    found = only(row, base)
    assert document_sums.path_of(base) in found.remark and "--again" in found.remark
    assert math.isnan(found.standard_error) and math.isnan(found.interval[0])
    assert found.value == row["bits_per_byte"] - base["bits_per_byte"]


def test_a_loss_that_is_not_finite_has_no_error(tmp_path):
    text = text_of(LENGTHS)
    base = evaluated(tmp_path / "base", text, losses(text, 1))
    row = evaluated(tmp_path / "own", text, losses(text, 1, math.nan))
    found = only(row, base)
    assert found.remark == "a loss is not finite" and math.isnan(found.value)
