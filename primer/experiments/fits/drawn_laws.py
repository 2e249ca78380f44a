"""The laws of many draws of one set of runs at once, from the law of the runs themselves.

It minimizes what `power_law.fit` minimizes, for all draws together, by Levenberg and Marquardt's
method on the squares that Huber's loss weights: residuals above delta count delta / residual. A
draw differs little from the runs, so that one start is enough, and hundreds of draws take less than
a second.
"""

import math

import numpy as np

from primer.experiments.fits import power_law
from primer.experiments.fits.power_law import PowerLaw

_MOST_STEPS = 150
_ENOUGH = 1e-7  # Of the objective: no draw gains more by a step.


def fit(
    variables: np.ndarray, losses: np.ndarray, near: PowerLaw, asymptote: float | None = None
) -> list[PowerLaw]:
    """Returns the law of each draw.

    Args:
        variables: of each run, `[n, m]`.
        losses: `[draws, n]`, above the pinned asymptote.
        near: the law of the runs.
        asymptote: E where it is pinned.
    """
    search = power_law.Search(np.asarray(variables, float), losses.min(0), asymptote)
    y = np.log(losses)  # [draws, n]
    low, high = np.array(search.bounds()).T
    low, high = np.tile(low, (len(y), 1)), np.tile(high, (len(y), 1))
    if asymptote is None:
        high[:, -1] = y.min(1)
    numbers = np.clip(np.tile(search.numbers_of(near), (len(y), 1)), low, high)  # [draws, p]
    damping = np.full(len(y), 1e-3)
    found, slopes = search.logs_and_slopes(numbers)
    value = _objective(found - y)
    for _ in range(_MOST_STEPS):
        new = np.clip(numbers - _steps(found - y, slopes, damping), low, high)
        new_found, new_slopes = search.logs_and_slopes(new)
        new_value = _objective(new_found - y)
        better = new_value < value
        gain = np.where(better, value - new_value, 0.0)
        damping = np.where(better, damping * 0.3, np.minimum(damping * 5, 1e8))
        numbers[better], value[better] = new[better], new_value[better]
        found[better], slopes[better] = new_found[better], new_slopes[better]
        if (gain <= _ENOUGH * value).all() and (better | (damping > 1e4)).all():
            break
    return [search.law((row, float(one))) for row, one in zip(numbers, value)]


def _objective(errors: np.ndarray) -> np.ndarray:
    """Returns the mean Huber loss of errors `[draws, n]`, in units of delta squared."""
    units = np.abs(errors) / power_law.DELTA
    clipped = np.minimum(units, 1)
    return (clipped * (units - 0.5 * clipped)).mean(1)


def _steps(errors: np.ndarray, slopes: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """Returns the damped steps of all draws, `[draws, p]`."""
    weights = 1 / np.maximum(np.abs(errors) / power_law.DELTA, 1)  # [draws, n]
    weighted = slopes * weights[:, :, None]
    squares = np.matmul(weighted.transpose(0, 2, 1), slopes)  # [draws, p, p]
    gradient = np.einsum("knp,kn->kp", weighted, errors)
    diagonal = np.einsum("kpp->kp", squares)
    least = 1e-12 * diagonal.max(1, keepdims=True) + math.ulp(0)
    squares = squares + np.einsum(
        "kp,pq->kpq", damping[:, None] * diagonal + least, np.eye(diagonal.shape[1])
    )
    return np.linalg.solve(squares, gradient[:, :, None])[:, :, 0]
