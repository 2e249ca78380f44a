"""Parabolas: their minimum, Fieller's interval and its coverage, and what has none."""

import math

import numpy as np
import pytest

from primer.experiments.fits import parabola

X = np.log10([1e6, 2e6, 4e6, 8e6, 1.6e7])


def test_a_known_minimum():
    found = parabola.fit(X, 3 + 0.2 * (X - 6.5) ** 2, [1] * 5)
    assert found.minimum == pytest.approx(6.5) and found.degrees == 2
    assert (found.low, found.high) == pytest.approx((6.5, 6.5), abs=1e-6)
    assert found.losses(np.array([6.5, 7.5])) == pytest.approx([3, 3.2])


def test_intervals_cover_the_minimum_whatever_a_seed_does():
    draw, hits, widths = np.random.default_rng(2), [], []
    x, seeds = np.tile(X, 3), np.repeat([1, 2, 3], len(X))
    for _ in range(1000):
        of_seed = draw.normal(scale=0.5, size=4)[seeds]
        losses = 3 + 0.2 * (x - 6.5) ** 2 + of_seed + draw.normal(scale=0.004, size=len(x))
        found = parabola.fit(x, losses, seeds.tolist())
        assert found.degrees == 10
        hits.append(found.low <= 6.5 <= found.high)
        widths.append(found.high - found.low)
    assert np.mean(hits) == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 1000))
    # The spread of the seeds, a hundred times that of the noise, does not widen it.
    assert np.median(widths) < 0.1


def test_without_a_shown_curvature_there_is_no_bound():
    draw = np.random.default_rng(0)
    flat = parabola.fit(X, 3 + draw.normal(scale=0.1, size=5), [1] * 5)
    assert (flat.low, flat.high) == (-math.inf, math.inf)
    falling = parabola.fit(X, 3 - 0.2 * (X - 6.5) ** 2, [1] * 5)
    assert math.isnan(falling.minimum) and math.isinf(falling.high)
    three = parabola.fit(X[:3], 3 + 0.2 * (X[:3] - 6.2) ** 2, [1] * 3)
    assert three.minimum == pytest.approx(6.2) and math.isnan(three.low)
