"""Statistics over seeds: scipy as oracle, and their error rates on simulated runs."""

import math

import numpy as np
import pytest
from scipy import stats

from primer.experiments.report import seeds

LOSSES = {1: 3.10, 2: 3.05, 3: 3.14, 5: 3.02, 9: 3.2}
BASE = {1: 3.21, 2: 3.08, 3: 3.19, 4: 9.0, 5: 3.15}


def test_the_paired_comparison_is_scipys():
    found = seeds.compare(LOSSES, BASE)
    own, base = ([d[seed] for seed in (1, 2, 3, 5)] for d in (LOSSES, BASE))
    oracle = stats.ttest_rel(own, base)
    low, high = oracle.confidence_interval(0.95)
    assert found.seeds == 4 and found.remark == ""
    assert found.difference == pytest.approx(np.mean(np.subtract(own, base)), rel=1e-12)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert found.difference / found.standard_error == pytest.approx(oracle.statistic, rel=1e-9)


def test_the_summary_is_numpys():
    values = list(LOSSES.values())
    found = seeds.summary(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.standard_error == pytest.approx(stats.sem(values))
    assert math.isnan(seeds.summary([3.0]).standard_error)
    assert math.isnan(seeds.summary([3.0, math.inf]).mean)


@pytest.mark.parametrize(
    "losses, remark",
    [
        ({1: 3.0, 7: 2.0}, "1 seed in common"),
        ({7: 3.0}, "no seed in common"),
        ({1: 3.0, 2: math.nan}, "a loss is not finite"),
        ({seed: loss - 0.5 for seed, loss in BASE.items()}, "no spread is seen"),
    ],
)
def test_there_is_no_interval_without_reason(losses, remark):
    found = seeds.adjusted([seeds.compare(losses, BASE)])[0]
    assert remark in found.remark
    assert math.isnan(found.low) and math.isnan(found.p_value) and math.isnan(found.detectable)
    assert found.verdict == seeds.NOT_SHOWN


def test_holms_example():
    # Four p-values: 4 x 0.01, 3 x 0.02, then no smaller than the one before it.
    given = [0.02, 0.6, 0.01, math.nan, 0.028]
    comparisons = [seeds.Comparison(5, -0.1, p_value=p) for p in given]
    found = [c.adjusted_p for c in seeds.adjusted(comparisons)]
    assert found[:3] + found[4:] == pytest.approx([0.06, 0.6, 0.04, 0.06])
    assert math.isnan(found[3])
    assert [c.verdict for c in seeds.adjusted(comparisons)].count(seeds.BETTER) == 1
    worse = seeds.adjusted([seeds.Comparison(5, 0.1, p_value=0.01)])
    assert worse[0].verdict == seeds.WORSE


@pytest.mark.parametrize("n", [2, 5, 20])
def test_the_detectable_difference_is_shown_in_four_of_five_cases(n):
    draws = np.random.default_rng(n).normal(size=(20_000, n))
    draws += seeds.detectable_in_errors(n) / math.sqrt(n)
    rejected = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.05)
    assert rejected == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / 20_000))


def pages(true_difference, count, contenders=4, n=5):
    """Yields pages of comparisons: losses with an effect of the seed, of the model, and noise."""
    draw = np.random.default_rng(7)
    for _ in range(count):
        of_seed = draw.normal(scale=0.05, size=n)
        losses = 3 + of_seed + draw.normal(scale=0.01, size=(contenders + 1, n))
        losses[1:] += true_difference
        base, *others = (dict(enumerate(row)) for row in losses.tolist())
        yield seeds.adjusted([seeds.compare(other, base) for other in others])


def most(rate, count):
    """Three standard errors above a rate, over `count` independent cases."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / count)


def test_intervals_cover_a_known_difference_at_their_rate():
    # Contenders of one page share a baseline: one of each page is independent.
    count = 1500
    missed = np.mean([not c.low <= -0.02 <= c.high for c, *_ in pages(-0.02, count)])
    assert 0.1 - most(0.05, count) <= missed <= most(0.05, count)


def test_without_a_difference_few_pages_have_a_winner():
    count = 1500
    verdicts = [{c.verdict for c in page} for page in pages(0.0, count)]
    wrong = np.mean([page != {seeds.NOT_SHOWN} for page in verdicts])
    assert wrong <= most(0.05, count)
    # Without the correction it would be more: the test can fail.
    uncorrected = np.mean([any(c.p_value <= 0.05 for c in page) for page in pages(0.0, count)])
    assert uncorrected > most(0.05, count)


def test_a_large_difference_is_shown_for_every_contender():
    verdicts = [c.verdict for page in pages(-0.1, 50) for c in page]
    assert verdicts.count(seeds.BETTER) >= 0.95 * len(verdicts)
