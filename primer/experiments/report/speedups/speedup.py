"""The speedup factor of the Primer paper: compute of the baseline over compute to its final loss.

With C the cost of the baseline's whole training, in FLOPs or in seconds, L its final loss, and c
the cost at which a group first has the loss L,

    factor = C / c

(https://arxiv.org/abs/2109.08668). All of these are means over the seeds that both have. Between
two evaluated checkpoints log(cost) is linear in the loss.

Only final losses count (`schedules`): of a constant rate those of all checkpoints, of WSD-S those
at the ends of its decays, of other schedules the last one of each run. Groups of such a schedule
that differ in their steps alone are one row, between whose finals log(cost) is linear in the loss.

The interval is a bootstrap over seeds: pairs of runs of one seed are drawn with replacement, and
the factor is computed again. With s the standard deviation of log(factor) over the draws, it is

    log(factor) +- t_n-1(0.975) s sqrt(n / (n - 1))

because percentiles of the draws, and s itself, are too narrow for few seeds (Hesterberg 2015,
https://arxiv.org/abs/1411.5279, sections 3 and 4).
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from primer.evaluation.paired import difference
from primer.experiments.report import runs, schedules, seeds
from primer.experiments.report.analyses import families
from primer.experiments.report.runs import Curve, Point
from primer.experiments.report.sections import Contender, Section

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
COSTS = ("flops", "seconds")
DRAWS = 2_000


@dataclasses.dataclass(frozen=True)
class Speedup:
    """The factor of one group in one cost.

    Attributes:
        group: its name, or that of groups of several lengths.
        cost: one of COSTS.
        seeds: the number n of common seeds.
        factor: 0 where the group never has the baseline's final loss, infinite where its first
            checkpoint has it; nan where there is a remark.
        low, high: the 95% interval, as `factor`; nan with fewer than 2 seeds.
        least, most: bounds for a factor of 0 or infinity: it is below `least`, or above `most`.
        remark: why there is no factor; "" where there is one.
    """

    group: str
    cost: str
    seeds: int = 0
    factor: float = math.nan
    low: float = math.nan
    high: float = math.nan
    least: float = math.nan
    most: float = math.nan
    remark: str = ""


def speedups(section: Section) -> list[Speedup]:
    """Returns the factors of a section's groups, without the baseline's, in each cost.

    Groups of several lengths of one decaying schedule have a row together.
    """
    base = next(c for c in section.contenders if c.name == section.baseline)
    found = []
    for family in families.families(section.contenders, families.STEPS):
        own = family.contenders
        if len(own) > 1 and all(_needs_lengths(contender) for contender in own):
            if base not in own:  # A shorter run of the baseline is none of its rivals.
                name = f"{family.name}, {len(own)} lengths"
                found += [_speedup(name, own, base, cost, section.unit) for cost in COSTS]
            continue
        rivals = [contender for contender in own if contender is not base]
        found += [_speedup(c.name, [c], base, cost, section.unit) for c in rivals for cost in COSTS]
    return found


def _needs_lengths(contender: Contender) -> bool:
    """Returns whether only the last loss of a run is a final one."""
    config = contender.finals[0].run.config
    return bool(schedules.obstacle(config)) and schedules.decay_ends(config) is None


def _speedup(name: str, own: Sequence[Contender], base: Contender, cost: str, unit: str) -> Speedup:
    problem = next(filter(None, (_unfinished(c) for c in base.finals)), "")
    if problem:
        return Speedup(name, cost, remark=f"{base.name}: {problem}")
    found = _lengths(own) if len(own) > 1 else _checkpoints(own[0])
    if isinstance(found, str):
        return Speedup(name, cost, remark=found)
    reference = _by_seed(base.finals)
    common = sorted(found.keys() & reference.keys())
    if not common:
        return Speedup(name, cost, remark="no seed in common with the baseline")
    points = [found[seed] for seed in common]
    lasts = [reference[seed].last for seed in common]
    measured = measure(
        np.array([[p.row[unit] for p in row] for row in points]),
        np.array([[getattr(p, cost) for p in row] for row in points]),
        np.array([last.row[unit] for last in lasts]),
        np.array([getattr(last, cost) for last in lasts]),
    )
    return dataclasses.replace(measured, group=name, cost=cost)


def _unfinished(curve: Curve) -> str:
    """Returns why a run's last loss is no final one, or ""."""
    return schedules.unfinished(curve.run.config, curve.last.step)


def _checkpoints(contender: Contender) -> dict[int, list[Point]] | str:
    """Returns {seed: its final losses} at the steps that all seeds have; or why there are none."""
    config = contender.finals[0].run.config
    ends, problem = schedules.decay_ends(config), schedules.obstacle(config)
    if ends is None and problem:
        return f"{problem}, and no group differs from it in steps alone"
    curves = _by_seed(contender.finals)
    points = runs.common_points(list(curves.values())) if curves else []
    if ends is not None:
        points = [[p for p in row if schedules.is_decay_end(ends, p.step)] for row in points]
        if any(len(row) < 2 for row in points):
            return "fewer than two ends of its schedule's decays are evaluated"
    return dict(zip(curves, points))


def _lengths(own: Sequence[Contender]) -> dict[int, list[Point]] | str:
    """Returns {seed: its finals of each length, the shortest first}; or why there are none."""
    by_length = []
    for contender in sorted(own, key=lambda one: one.finals[0].last.step):
        problem = next(filter(None, (_unfinished(c) for c in contender.finals)), "")
        if problem:
            return f"{contender.name}: {problem}"
        whole = [curve for curve in contender.finals if curve.run.stopped_early is None]
        by_length.append(_by_seed(whole))
    common = set.intersection(*(set(curves) for curves in by_length))
    return {seed: [curves[seed].last for curves in by_length] for seed in sorted(common)}


def _by_seed(curves: Sequence[Curve]) -> dict[int, Curve]:
    return {curve.run.seed: curve for curve in curves if curve.run.seed is not None}


def measure(
    losses: np.ndarray, costs: np.ndarray, final: np.ndarray, budget: np.ndarray
) -> Speedup:
    """Returns the factor with its interval; `group` and `cost` are empty.

    Args:
        losses, costs: of the group's checkpoints, [seeds, steps], in the order of the steps.
        final, budget: the last losses and costs of the baseline, [seeds].
    """
    n = len(losses)
    given: Arrays = losses, costs, final, budget
    if not losses.size or not all(np.isfinite(one).all() for one in given):
        return Speedup("", "", n, remark="a loss or a cost is not known")
    equal = np.full((1, n), 1 / n)
    total, mean_costs = float(budget.mean()), costs.mean(0)
    bounds = total / float(mean_costs[-1]), total / float(mean_costs[0])
    factor = float(_factors(*given, equal)[0])
    low, high = _interval(given, n, factor) if n > 1 else (math.nan, math.nan)
    return Speedup("", "", n, factor, low, high, *bounds)


def _interval(given: Arrays, n: int, factor: float) -> tuple[float, float]:
    draws = np.random.default_rng(0).multinomial(n, [1 / n] * n, size=DRAWS) / n
    found = _factors(*given, draws)
    reached = (found > 0) & np.isfinite(found)
    half = 0.0
    if 0 < factor < math.inf:
        error = float(np.log(found[reached]).std()) * math.sqrt(n / (n - 1))
        half = difference.half_interval(error, n)
    # Where a part of the draws never has the loss, or has it at once, that side has no bound.
    low = 0.0 if (found == 0).mean() > seeds.LEVEL / 2 else factor * math.exp(-half)
    high = math.inf if np.isinf(found).mean() > seeds.LEVEL / 2 else factor * math.exp(half)
    return low, high


def _factors(losses, costs, final, budget, weights):
    """The factors of weighted means over seeds; weights is [draws, seeds], the result [draws]."""
    y, x = weights @ losses, weights @ costs  # [draws, steps]
    goal, total = (weights @ final)[:, None], weights @ budget
    # The mean of equal numbers may differ from them in the last digit.
    reached = y <= goal * (1 + 1e-12)
    first = reached.argmax(1)[:, None]
    before = np.maximum(first - 1, 0)

    def at(values, place):
        return np.take_along_axis(values, place, 1)[:, 0]

    y0, y1, x0, x1 = at(y, before), at(y, first), at(x, before), at(x, first)
    drop = np.where(y0 > y1, y0 - y1, 1.0)
    share = np.clip((y0 - goal[:, 0]) / drop, 0, 1)
    cost = np.exp(np.log(x0) + share * (np.log(x1) - np.log(x0)))
    factors = np.where(reached[:, 0], np.inf, total / cost)
    return np.where(reached.any(1), factors, 0.0)
