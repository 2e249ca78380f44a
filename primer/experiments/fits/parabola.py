"""A parabola of losses in the logarithm of the size, and its minimum with an exact interval.

Runs of several sizes with equal compute ("IsoFLOP profiles", Hoffmann et al. 2022,
https://arxiv.org/abs/2203.15556, section 3.2) are fitted by least squares,

    loss = (a constant of each seed) + b x + c x^2            x = log size

so that what a seed does to all sizes alike does not count as noise. The minimum is at -b / (2 c).
Its 95% interval is Fieller's: all x at which the slope b + 2 c x differs from 0 by at most t
standard errors of that slope. With normal errors it holds the minimum in exactly 95% of cases, and
it has no end where the curvature is not shown, which an interval by a standard error hides.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Parabola:
    """A fitted parabola.

    Attributes:
        numbers: (constant, b, c); the constant is the mean over runs.
        minimum: the x of the minimum; nan without a positive curvature.
        low, high: its 95% interval; infinite where the curvature is not shown; nan without runs
            for it.
        degrees: the runs less the fitted numbers.
    """

    numbers: tuple[float, float, float]
    minimum: float
    low: float
    high: float
    degrees: int

    def losses(self, x: np.ndarray) -> np.ndarray:
        """Returns the losses at x."""
        constant, b, c = self.numbers
        return constant + b * x + c * x**2


def fit(x: np.ndarray, losses: np.ndarray, seeds: Sequence[int | None]) -> Parabola:
    """Returns the parabola of runs.

    Args:
        x: of each run, `[n]`, at least three different ones.
        losses: of each run, `[n]`.
        seeds: of each run, its seed; runs without one share a constant.
    """
    x, y = np.asarray(x, float), np.asarray(losses, float)
    centre = x.mean()
    terms = np.column_stack([x - centre, (x - centre) ** 2])  # [n, 2]
    labels = sorted(set(seeds), key=str)
    own = np.array([labels.index(seed) for seed in seeds])
    free, y_free = _without_means(terms, own), _without_means(y[:, None], own)[:, 0]
    inverse = np.linalg.pinv(free.T @ free)
    b, c = inverse @ free.T @ y_free
    degrees = len(x) - len(labels) - 2
    low = high = math.nan
    if degrees > 0:
        errors = y_free - free @ np.array([b, c])
        low, high = _fieller(b, c, inverse * (errors @ errors) / degrees, degrees)
    constant = float(y.mean() - terms.mean(0) @ np.array([b, c]))
    minimum = centre - b / (2 * c) if c > 0 else math.nan
    if not c > 0:
        low, high = (-math.inf, math.inf) if degrees > 0 else (math.nan, math.nan)
    numbers = (
        float(constant - b * centre + c * centre**2),
        float(b - 2 * c * centre),
        float(c),
    )
    return Parabola(numbers, float(minimum), low + centre, high + centre, degrees)


def _without_means(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Returns values `[n, k]` less the mean of each seed."""
    counts = np.bincount(own)
    means = np.column_stack([np.bincount(own, column) for column in values.T]) / counts[:, None]
    return values - means[own]


def _fieller(b: float, c: float, covariance: np.ndarray, degrees: int) -> tuple[float, float]:
    """Returns the x between which the slope b + 2 c x may be 0; infinite without an end."""
    from scipy import special

    square = float(special.stdtrit(degrees, 0.975)) ** 2
    leading = 4 * (c**2 - square * covariance[1, 1])
    middle = 4 * (b * c - square * covariance[0, 1])
    last = b**2 - square * covariance[0, 0]
    inside = middle**2 - 4 * leading * last
    if leading <= 0 or inside < 0:
        return -math.inf, math.inf
    root = math.sqrt(inside)
    return (-middle - root) / (2 * leading), (-middle + root) / (2 * leading)
