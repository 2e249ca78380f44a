"""Lengths that vary from step to step, against Transformer-XL's own loop and by counting."""

import gin
import numpy as np
import pytest

from primer.data.objectives import segment_lengths
from primer.data.objectives.segment_lengths import BLOCK, EqualLengths, VariedLengths
from primer.errors import UsageError

# Rows of 85 hold segments of 70 on average and 85 at most: train.py's default.
THEIRS = segment_lengths.varied_lengths(85)


def lengths(number, variation=THEIRS, seed=3):
    varied = VariedLengths(variation, seed)
    return np.diff([varied.begin(step) for step in range(number + 1)])


def theirs(number, bptt=70, std=5, min_len=5, max_deviation=3):
    """`get_varlen_iter` of kimiyoung/transformer-xl, data_utils.py, without the text."""
    random = np.random.RandomState(0)
    found = []
    for _ in range(number):
        mean = bptt if random.random_sample() < 0.95 else bptt / 2.0
        drawn = int(random.normal(mean, std))
        found.append(min(bptt + max_deviation * std, max(min_len, drawn)))
    return np.array(found)


def test_lengths_are_distributed_as_transformer_xls():
    """The largest distance of two samples' distribution functions, n = 20,000 each.

    It is below 0.0163 with a probability of 99% (Kolmogorov and Smirnov), above it for a share of
    half lengths of 0.03 or a deviation of 4.
    """
    number = 20_000
    own, other = lengths(number), theirs(number)
    values = np.arange(100)
    distance = [(own <= value).mean() - (other <= value).mean() for value in values]
    assert np.abs(distance).max() < 1.63 * np.sqrt(2 / number)
    assert own.max() == 85 and own.min() >= 5
    assert own.mean() == pytest.approx(THEIRS.expected(), abs=0.6)  # int() takes half a token.
    halves = (own < 52).mean()
    assert halves == pytest.approx(0.05, abs=0.005)


def test_a_length_depends_on_the_seed_and_the_step_alone():
    """Across the borders of blocks, whatever has been asked for before."""
    steps = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 7]
    whole = np.concatenate([[0], np.cumsum(lengths(3 * BLOCK + 8))])
    for step in steps:
        assert VariedLengths(THEIRS, 3).begin(step) == whole[step]
    backwards = VariedLengths(THEIRS, 3)
    assert [backwards.begin(step) for step in steps[::-1]] == whole[steps[::-1]].tolist()
    assert (lengths(50, seed=4) != lengths(50)).any()
    assert (lengths(BLOCK) != lengths(2 * BLOCK)[BLOCK:]).any()


@pytest.mark.parametrize("varied", [VariedLengths(THEIRS, 3), EqualLengths(85)])
def test_the_number_of_rows_that_have_so_many_tokens(varied):
    for step in (1, 2, 100, BLOCK, BLOCK + 1):
        end = varied.begin(step)
        assert [varied.steps(end + more) for more in (-1, 0, 1)] == [step, step, step + 1]
    assert varied.steps(0) == 0


def test_gin_sets_the_distribution():
    gin.parse_config("""
        varied_lengths.mean = 40
        varied_lengths.deviation = 2.0
        varied_lengths.shortest = 30
        varied_lengths.half_share = 0.5
    """)
    found = lengths(500, segment_lengths.varied_lengths(50))
    assert found.min() == 30 and 44 <= found.max() <= 46
    assert (found == 30).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({}, "of 1 on average, between 5 .* and 16 .* rows of 16; expected .* at least 21"),
        ({"mean": 10}, "do not fit into rows of 16; .* at least 25"),
        ({"mean": 4, "deviation": 1.0}, "at least 9"),
        ({"deviation": 0}, "varied_lengths.deviation = 0: expected a number above 0"),
        ({"shortest": 0}, "varied_lengths.shortest = 0: expected a whole number"),
        ({"mean": 8.5}, "varied_lengths.mean = 8.5: expected a whole number"),
        ({"half_share": 1.5}, "varied_lengths.half_share = 1.5: expected a share"),
    ],
)
def test_errors_name_the_setting(settings, message):
    with pytest.raises(UsageError, match=message):
        segment_lengths.varied_lengths(16, **settings)
    fits = segment_lengths.varied_lengths(21)
    assert (fits.mean, fits.longest) == (6, 21)
