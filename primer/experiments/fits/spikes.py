"""The spike score of OLMo 2: the share of values far from the rolling mean of those before them.

"The percentage of values in a time series that are at least seven standard deviations away from a
rolling average of the last 1,000 values" (https://arxiv.org/abs/2501.00656, section 3.2). Here the
mean and the (unbiased) standard deviation are of the values before the one that is scored, of which
there must be at least half a window; a value that is not finite is a spike, and in no window.
"""

import dataclasses
import math

import numpy as np

WINDOW = 1_000
DEVIATIONS = 7.0


@dataclasses.dataclass(frozen=True)
class SpikeScore:
    """The spikes of a series.

    Attributes:
        scored: the values that were compared with those before them.
        spikes: how many of them are far from these, or not finite.
    """

    scored: int
    spikes: int

    @property
    def share(self) -> float:
        """The share of spikes among the scored values; nan where none was scored."""
        return self.spikes / self.scored if self.scored else math.nan


def score(values: np.ndarray, window: int = WINDOW, deviations: float = DEVIATIONS) -> SpikeScore:
    """Returns the spikes of a series.

    Args:
        values: the series, in its order.
        window: the number of values before each that it is compared with; at least half as many.
        deviations: the standard deviations from which on a value counts.
    """
    values = np.asarray(values, float)
    finite = np.isfinite(values)
    centre = np.median(values[finite]) if finite.any() else 0.0
    centred = np.where(finite, values - centre, 0.0)
    counts = _before(finite.astype(float), window)
    known = counts >= max(2, window // 2)
    if not known.any():
        return SpikeScore(0, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = _before(centred, window) / counts
        variances = (_before(centred**2, window) - counts * means**2) / (counts - 1)
    # Sums of equal values may differ from 0 in the last digits.
    deviation = np.sqrt(np.maximum(variances, 1e-18 * (1 + centre**2)))
    with np.errstate(invalid="ignore"):
        is_far = np.abs(centred - means) >= deviations * deviation
    return SpikeScore(int(known.sum()), int((known & (is_far | ~finite)).sum()))


def _before(values: np.ndarray, window: int) -> np.ndarray:
    """Returns the sums of the `window` values before each."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    return sums[places] - sums[np.maximum(places - window, 0)]
