"""Bootstrap over runs: losses that other runs of the same settings could have had, and intervals.

Where all settings have the same seeds, three or more, whole seeds are drawn with replacement: what
a seed does to the losses of all settings alike stays together. Elsewhere the differences of the
runs to the fit, in log, are drawn with replacement and added to the fit (Efron and Tibshirani 1993,
An Introduction to the Bootstrap, section 9.4). Both keep the settings as they are; drawing runs
alone could leave fewer sizes than a fit needs.

With s the standard deviation of a number over the draws, k the seeds less 1, or the runs less the
parameters of the fit, and n = k + 1 or the runs, the 95% interval is

    number +- t_k(0.975) s sqrt(n / k)

because percentiles of the draws, and s itself, are too narrow for few runs (Hesterberg 2015,
https://arxiv.org/abs/1411.5279, sections 3 and 4).
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

DRAWS = 200
FEWEST_SEEDS = 3


@dataclasses.dataclass(frozen=True)
class Resampled:
    """Draws of the losses of runs.

    Attributes:
        losses: `[draws, n]`.
        degrees: k, of Student's distribution.
        inflation: sqrt(n / k), for standard deviations over the draws.
        of_seeds: whether whole seeds were drawn.
    """

    losses: np.ndarray
    degrees: int
    inflation: float
    of_seeds: bool

    @property
    def what(self) -> str:
        """What was drawn: "seeds" or "runs"."""
        return "seeds" if self.of_seeds else "runs"

    def interval(self, value: float, draws: np.ndarray) -> tuple[float, float]:
        """Returns the 95% interval of a number.

        Args:
            value: the number.
            draws: the same of each draw, `[draws]`.
        """
        half = self.half(draws)
        return value - half, value + half

    def half(self, draws: np.ndarray) -> float:
        """Returns half of the interval of a number, from the number of each draw."""
        from scipy import special

        quantile = float(special.stdtrit(self.degrees, 0.975))
        return quantile * float(np.std(draws)) * self.inflation


def resample(
    losses: np.ndarray,
    fitted: np.ndarray,
    cells: Sequence[int],
    seeds: Sequence[int | None],
    parameters: int,
    count: int = DRAWS,
) -> Resampled | None:
    """Returns draws of the losses of runs; None where there are too few runs for any.

    The same seeds give the same draws, whatever the runs: two sets of runs with the same seeds are
    drawn in pairs.

    Args:
        losses: of each run, `[n]`.
        fitted: those of the fit, `[n]`.
        cells: of each run, the number of its settings.
        seeds: of each run, its seed.
        parameters: how many numbers the fit has found.
        count: the number of draws.
    """
    draw = np.random.default_rng(0)
    places = _places(cells, seeds)
    if places is not None:
        number = len(places)
        picked = draw.integers(number, size=(count, number))
        drawn = np.empty((count, len(losses)))
        drawn[:, places] = np.asarray(losses)[places[picked]]
        return Resampled(drawn, number - 1, math.sqrt(number / (number - 1)), True)
    n = len(losses)
    degrees = n - parameters
    if degrees < 1:
        return None
    errors = np.log(losses) - np.log(fitted)
    picked = draw.integers(n, size=(count, n))
    drawn = np.exp(np.log(fitted) + errors[picked])
    return Resampled(drawn, degrees, math.sqrt(n / degrees), False)


def _places(cells: Sequence[int], seeds: Sequence[int | None]) -> np.ndarray | None:
    """Returns the runs as `[seeds, cells]`; None unless all cells have the same 3 seeds."""
    found = {(seed, cell): place for place, (seed, cell) in enumerate(zip(seeds, cells))}
    rows = sorted({seed for seed in seeds if seed is not None})
    columns = sorted(set(cells))
    if len(rows) < FEWEST_SEEDS or len(rows) * len(columns) != len(cells):
        return None
    if len(found) != len(cells) or None in seeds:
        return None
    return np.array([[found[seed, cell] for cell in columns] for seed in rows])
