"""Bootstrap intervals of fits: their coverage on simulated runs with known constants."""

import math

import numpy as np
import pytest

from primer.experiments.fits import drawn_laws, power_law, resampling

COMPUTE = np.geomspace(1e14, 1e17, 6)
TRUTH = power_law.PowerLaw(2.0, (200.0,), (0.15,))


def intervals(draw, seeds, noise, of_seed, pinned=2.0):
    """Returns the intervals of the exponent and of the curve's middle, for simulated runs."""
    places = np.tile(np.arange(len(COMPUTE)), seeds)
    labels = np.repeat(np.arange(seeds), len(COMPUTE))
    variables = COMPUTE[places][:, None]
    logs = np.log(TRUTH.losses(variables)) + draw.normal(scale=noise, size=len(places))
    losses = np.exp(logs + draw.normal(scale=of_seed, size=seeds)[labels])
    law = power_law.fit(variables, losses, pinned)
    found = resampling.resample(
        losses, law.losses(variables), places.tolist(), labels.tolist(), 2, count=60
    )
    laws = drawn_laws.fit(variables, found.losses, law, pinned)
    middle = np.array([[math.sqrt(COMPUTE[0] * COMPUTE[-1])]])
    exponent = found.interval(law.exponents[0], np.array([one.exponents[0] for one in laws]))
    curve = found.interval(
        math.log(law.losses(middle)[0]), np.log([one.losses(middle)[0] for one in laws])
    )
    return found, exponent, curve, math.log(TRUTH.losses(middle)[0])


@pytest.mark.parametrize(
    "seeds, noise, of_seed, is_of_seeds", [(2, 0.004, 0.0, False), (5, 0.003, 0.006, True)]
)
def test_intervals_cover_known_constants(seeds, noise, of_seed, is_of_seeds):
    draw, hits = np.random.default_rng(5), []
    for _ in range(30):
        found, exponent, curve, truth = intervals(draw, seeds, noise, of_seed)
        assert found.of_seeds == is_of_seeds
        hits.append((exponent[0] <= 0.15 <= exponent[1], curve[0] <= truth <= curve[1]))
    rates = np.mean(hits, 0)
    print(rates)
    # Three standard errors of a rate of 95% over 30 cases.
    assert (rates >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 30)).all()


def test_too_few_runs_have_no_interval():
    losses = np.array([3.0, 2.5, 2.2])
    assert resampling.resample(losses, losses, [0, 1, 2], [1, 1, 1], 3) is None
    found = resampling.resample(losses, losses * 1.01, [0, 1, 2], [1, 1, 1], 2)
    assert found.degrees == 1 and not found.of_seeds
    assert found.losses == pytest.approx(np.tile(losses, (resampling.DRAWS, 1)))


def test_whole_seeds_are_drawn_where_all_cells_have_them():
    losses = np.arange(1.0, 7.0)
    places, seeds = [0, 1] * 3, [7, 7, 8, 8, 9, 9]
    found = resampling.resample(losses, losses, places, seeds, 2)
    assert found.of_seeds and found.degrees == 2
    pairs = {tuple(pair) for row in found.losses for pair in row.reshape(3, 2)}
    assert pairs == {(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)}
    without = resampling.resample(losses[:5], losses[:5], places[:5], seeds[:5], 2)
    assert not without.of_seeds
    # Two families with the same seeds are drawn in pairs.
    other = resampling.resample(10 * losses, losses, places, seeds, 2)
    assert other.losses == pytest.approx(10 * found.losses)
