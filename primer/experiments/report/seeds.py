"""Statistics over seeds: means, paired differences to a baseline, and which of them are shown.

Runs of one seed have the same order of data, whatever their model, so that losses are compared seed
by seed: what a seed does to both models cancels. With d_1 ... d_n the differences of the n common
seeds, s their sample standard deviation and t_n-1 Student's distribution,

    standard error      s / sqrt(n)
    95% interval        mean(d) +- t_n-1(0.975) s / sqrt(n)
    p-value             that of the paired t test, two-sided

Several contenders are compared with one baseline, and one of many differences looks large by chance
alone. The p-values are adjusted by Holm's method (1979, Scandinavian Journal of Statistics 6), so
that with no difference at all a page calls any contender better or worse in at most 5% of cases.
"""

import dataclasses
import functools
import math
import statistics
from collections.abc import Mapping, Sequence

from primer.evaluation.paired import difference

LEVEL = 0.05  # Of errors: of an interval that misses, of a page with a false winner.
POWER = 0.8
BETTER, WORSE, NOT_SHOWN = "better", "worse", "no difference shown"


@dataclasses.dataclass(frozen=True)
class Summary:
    """A loss over the seeds of one group.

    Attributes:
        seeds: the number of runs n.
        mean: of their losses.
        standard_error: of the mean, sample standard deviation / sqrt(n); nan for one run.
    """

    seeds: int
    mean: float
    standard_error: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A group's loss minus the baseline's, over the seeds that both have.

    Attributes:
        seeds: the number of common seeds n.
        difference: the mean difference; negative where the group is better; nan without a seed.
        standard_error: of the difference; nan where there is none.
        low, high: the 95% interval of this comparison alone; nan without a standard error.
        p_value: of the paired t test, two-sided; nan without a standard error.
        adjusted_p: by Holm's method over all comparisons of the page; nan as `p_value`.
        detectable: the difference that n seeds with this spread show with a probability of 80%, at
            a two-sided level of 5%, in one comparison; nan without a standard error.
        remark: why there is no interval; "" where there is one.
    """

    seeds: int
    difference: float
    standard_error: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p_value: float = math.nan
    adjusted_p: float = math.nan
    detectable: float = math.nan
    remark: str = ""

    @property
    def verdict(self) -> str:
        """BETTER, WORSE or NOT_SHOWN.

        An adjusted p-value of at most 5% means that the interval which Holm's method demands, wider
        than that of 95%, leaves out 0.
        """
        if not self.adjusted_p <= LEVEL:  # nan too.
            return NOT_SHOWN
        return BETTER if self.difference < 0 else WORSE


def summary(losses: Sequence[float]) -> Summary:
    """Returns the mean of losses over seeds, and its standard error.

    Args:
        losses: one or more.
    """
    n = len(losses)
    if not all(map(math.isfinite, losses)):
        return Summary(n, math.nan, math.nan)
    error = statistics.stdev(losses) / math.sqrt(n) if n > 1 else math.nan
    return Summary(n, statistics.fmean(losses), error)


def compare(losses: Mapping[int, float], baseline: Mapping[int, float]) -> Comparison:
    """Returns the paired comparison of a group with the baseline; `adjusted_p` is nan.

    Args:
        losses, baseline: {seed: loss}.
    """
    from scipy import special  # Its functions take a tenth of the time of scipy.stats.

    common = sorted(losses.keys() & baseline.keys())
    n = len(common)
    differences = [losses[seed] - baseline[seed] for seed in common]
    if not all(map(math.isfinite, differences)):
        return Comparison(n, math.nan, remark="a loss is not finite")
    mean = statistics.fmean(differences) if n else math.nan
    if n < 2:
        return Comparison(n, mean, remark=_few(n))
    error = statistics.stdev(differences) / math.sqrt(n)
    if error <= 1e-12 * max(map(abs, baseline.values())):  # Equal but for rounding.
        return Comparison(n, mean, remark="all seeds differ by the same amount: no spread is seen")
    half = difference.half_interval(error, n)
    p_value = 2 * float(special.stdtr(n - 1, -abs(mean / error)))
    detectable = detectable_in_errors(n) * error
    return Comparison(n, mean, error, mean - half, mean + half, p_value, detectable=detectable)


def _few(n: int) -> str:
    found = "1 seed" if n else "no seed"
    chance = "the difference may be chance, and " if n else ""
    return f"{found} in common with the baseline: {chance}an interval needs 2 or more"


@functools.lru_cache(maxsize=256)
def detectable_in_errors(n: int) -> float:
    """Returns the difference that n seeds can show, in standard errors of the difference.

    It is the d at which the two-sided t test of 5% rejects with a probability of 80%. With Z normal
    and s^2 a mean square of nu = n - 1 degrees of freedom, the test rejects where |Z + d| > t s:

        integral over s of density(s) (Phi(d - t s) + Phi(-d - t s)) = 0.8

    which is the noncentral t distribution, whose tails scipy does not compute for all n.

    Args:
        n: the number of common seeds, at least 2.
    """
    from scipy import integrate, optimize, special, stats

    nu = n - 1
    critical = special.stdtrit(nu, 1 - LEVEL / 2)

    def power_beyond(d):
        def rejected(s):  # The density of s is that of chi_nu / sqrt(nu).
            inside = special.ndtr(d - critical * s) + special.ndtr(-d - critical * s)
            return stats.chi.pdf(s * math.sqrt(nu), nu) * math.sqrt(nu) * inside

        return integrate.quad(rejected, 0, math.inf)[0] - POWER

    return float(optimize.brentq(power_beyond, 0.5, 4 * critical, xtol=1e-6))


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Returns comparisons with their p-values adjusted by Holm's method.

    The i-th smallest of m p-values, from 0, is multiplied by m - i; none becomes smaller than one
    before it, and none larger than 1.

    Args:
        comparisons: all of a page; those without a p-value count for nothing.
    """
    order = sorted(
        (c.p_value, place) for place, c in enumerate(comparisons) if math.isfinite(c.p_value)
    )
    found = list(comparisons)
    largest = 0.0
    for rank, (p_value, place) in enumerate(order):
        largest = max(largest, min(1.0, p_value * (len(order) - rank)))
        found[place] = dataclasses.replace(comparisons[place], adjusted_p=largest)
    return found
