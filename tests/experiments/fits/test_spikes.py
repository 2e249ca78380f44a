"""The spike score: the direct computation as oracle, and series without one."""

import math

import numpy as np
import pytest

from primer.experiments.fits import spikes


def directly(values, window, deviations):
    scored = found = 0
    for place, value in enumerate(values):
        before = [v for v in values[max(0, place - window) : place] if math.isfinite(v)]
        if len(before) < window // 2:
            continue
        scored += 1
        far = abs(value - np.mean(before)) >= deviations * np.std(before, ddof=1)
        found += far or not math.isfinite(value)
    return scored, found


@pytest.mark.parametrize("window, deviations", [(40, 3.0), (100, 2.5)])
def test_it_is_that_of_the_definition(window, deviations):
    draw = np.random.default_rng(1)
    values = 9 * np.exp(-np.arange(600) / 90) + 3 + draw.normal(scale=0.05, size=600)
    values[[130, 131, 400]] += 2
    values[500] -= 1.5
    values[[250, 251]] = np.nan, np.inf
    found = spikes.score(values, window, deviations)
    assert (found.scored, found.spikes) == directly(values, window, deviations)
    assert found.spikes >= 4 and found.share == found.spikes / found.scored


def test_the_default_is_olmos():
    draw = np.random.default_rng(3)
    values = 3 + draw.normal(scale=0.02, size=3000)
    assert spikes.score(values).spikes == 0 and spikes.score(values).scored == 2500
    values[2000] += 8 * 0.02
    values[2500] -= 8 * 0.02
    assert spikes.score(values).spikes == 2


def test_series_without_a_score():
    assert math.isnan(spikes.score(np.ones(500)).share)
    assert spikes.score(np.full(2000, 2.3)) == spikes.SpikeScore(1500, 0)
    assert spikes.score(np.full(2000, np.nan)).scored == 0
