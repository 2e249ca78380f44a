"""Learning-rate sensitivity: what a wrong rate costs, over the rates that were tried.

With l(r) the final loss at the rate r, l* the least of them and l_0 the loss before training,

    sensitivity = mean over the rates of min(l(r), l_0) - l*

(Wortsman et al. 2023, https://arxiv.org/abs/2309.14322, section 2.2), for each seed apart.
"""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from primer.evaluation.paired import difference
from primer.experiments.report import figures, finals, schedules
from primer.experiments.report.analyses import families, part
from primer.experiments.report.analyses.families import Family
from primer.experiments.report.analyses.part import Part, Table
from primer.experiments.report.sections import Contender, Section

HEADS = {
    "family": "family",
    "rates": "rates",
    "range": "from, to",
    "seeds": "seeds",
    "best": "best rate",
    "loss": "loss there",
    "sensitivity": "sensitivity",
    "interval": "95% interval",
}
_DEFINITION = (
    "Learning-rate sensitivity: the mean over the rates of (the lower of the final loss and the "
    "loss before training) - (the lowest final loss), for each seed that all rates have, then the "
    "mean over seeds with the t interval (Wortsman et al. 2023). It depends on the rates that "
    "were tried: compare families with the same ones. A loss that is not finite "
    "counts as that before training."
)


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """The losses of a family over learning rates.

    Attributes:
        family: its name.
        losses: {rate: {seed: final loss}}, sorted by rate.
        start: {seed: the loss of step 0}, where it was evaluated.
        values: of each seed that all rates have, its sensitivity.
        remark: why there is no sensitivity; "" where there is one.
    """

    family: str
    losses: Mapping[float, Mapping[int, float]]
    start: Mapping[int, float]
    values: Sequence[float]
    remark: str = ""

    @property
    def mean(self) -> float:
        """The mean over seeds; nan without one."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval over seeds, not below 0; nan with fewer than two."""
        n = len(self.values)
        if n < 2:
            return math.nan, math.nan
        half = difference.half_interval(statistics.stdev(self.values) / math.sqrt(n), n)
        return max(self.mean - half, 0.0), self.mean + half


def of_family(family: Family, unit: str) -> Sensitivity | None:
    """Returns the sensitivity of a family; None unless it has two rates or more."""
    of_rate: dict[float, Contender] = {}
    for contender in family.contenders:
        rate = families.rate_of(contender.curves[0].run)
        if rate is not None:
            of_rate[rate] = contender
    if len(of_rate) < 2:
        return None
    losses = {rate: _losses(of_rate[rate], unit) for rate in sorted(of_rate)}
    start = {s: loss for c in of_rate.values() for s, loss in _starts(c, unit).items()}
    common = sorted(set.intersection(*(set(own) for own in losses.values())))
    values = [_value([own[seed] for own in losses.values()], start.get(seed)) for seed in common]
    remark = "" if common else "no seed has all rates"
    if any(map(math.isnan, values)):
        remark = "a loss is not finite, and that before training was not evaluated (step 0)"
    return Sensitivity(family.name, losses, start, [] if remark else values, remark)


def _losses(contender: Contender, unit: str) -> dict[int, float]:
    return {c.run.seed: c.last.row[unit] for c in contender.finals if c.run.seed is not None}


def _starts(contender: Contender, unit: str) -> dict[int, float]:
    return {
        curve.run.seed: curve.points[0].row[unit]
        for curve in contender.curves
        if curve.run.seed is not None and curve.points[0].step == 0
    }


def _value(losses: Sequence[float], start: float | None) -> float:
    """Returns the sensitivity of one seed; nan where a loss needs the one before training."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite or (start is None and len(finite) < len(losses)):
        return math.nan
    most = math.inf if start is None else start
    # min() of a nan and a number may be the nan.
    kept = [min(loss, most) if math.isfinite(loss) else most for loss in losses]
    return statistics.fmean(kept) - min(finite)


def parts(section: Section) -> list[Part]:
    """Returns the part on learning rates; [] where no family has two of them."""
    own = families.families(section.contenders, families.RATE)
    found = [one for one in (of_family(family, section.unit) for family in own) if one]
    if not found:
        return []
    rows = [_row(one) for one in found]
    sentences = [f"{one.family}: {one.remark}." for one in found if one.remark]
    sentences += [text for family in own for text in _unfinished(family)]
    if len({tuple(one.losses) for one in found}) > 1:
        sentences.append("The families have different rates and cannot be compared.")
    if any(not one.start for one in found):
        sentences.append(
            "The loss before training (step 0) was not evaluated of all: finite losses above it "
            "are not cut off."
        )
    caption = "Final loss against learning rate: means over seeds, and runs"
    return [
        Part(
            "rate_sensitivity",
            "Learning-rate sensitivity",
            [Table(HEADS, [_texts(row) for row in rows])],
            sentences,
            {"loss_by_rate": (caption, _figure(found, section.unit))},
            {"rate_sensitivity": rows},
            [_DEFINITION],
        )
    ]


def _unfinished(family: Family) -> list[str]:
    """Returns a sentence for each group whose runs ended before their last step, as if diverged."""
    found = []
    for contender in family.contenders if len(family.contenders) > 1 else ():
        last = contender.finals[0]
        total = schedules.train_steps(last.run.config or {})
        if total is not None and last.last.step < total:
            found.append(
                f"{contender.name} is evaluated up to step {last.last.step:,} of {total:,}: the "
                "loss there counts, although training may have diverged after it."
            )
    return found


def _row(found: Sensitivity) -> dict[str, Any]:
    means = {rate: _mean(own.values()) for rate, own in found.losses.items()}
    known = {rate: loss for rate, loss in means.items() if math.isfinite(loss)}
    best = min(known, key=known.__getitem__) if known else math.nan
    low, high = found.interval
    return {
        "family": found.family,
        "rates": len(found.losses),
        "smallest": min(found.losses),
        "largest": max(found.losses),
        "seeds": len(found.values),
        "best": best,
        "loss": known.get(best, math.nan),
        "sensitivity": found.mean,
        "low": low,
        "high": high,
        "best_is_at_the_end": best in (min(found.losses), max(found.losses)),
        "remark": found.remark,
    }


def _mean(values: Any) -> float:
    numbers = list(values)
    return statistics.fmean(numbers) if numbers else math.nan


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    edge = " (at the end of the range)" if row["best_is_at_the_end"] else ""
    return {
        "family": row["family"],
        "rates": str(row["rates"]),
        "range": f"{row['smallest']:g}, {row['largest']:g}",
        "seeds": str(row["seeds"]),
        "best": "-" if math.isnan(row["best"]) else f"{row['best']:g}{edge}",
        "loss": part.number(row["loss"], "{:.4f}"),
        "sensitivity": part.number(row["sensitivity"], "{:.4f}"),
        "interval": part.interval(row["low"], row["high"], "{:.4f}"),
    }


def _figure(found: Sequence[Sensitivity], unit: str) -> bytes:
    def draw(panel: Any) -> None:
        for number, one in enumerate(found):
            drawn = figures.style(number)
            for rate, own in one.losses.items():
                panel.plot(
                    *([rate] * len(own), list(own.values())),
                    **{**drawn, "linestyle": "none"},
                    markersize=2.5,
                    alpha=0.5,
                )
            means = [_mean(own.values()) for own in one.losses.values()]
            panel.plot(list(one.losses), means, label=one.family, markersize=5, **drawn)
        panel.set_xscale("log")
        panel.set_yscale("log")
        figures.plain_numbers(panel.yaxis)
        panel.set_xlabel("learning rate")
        panel.set_ylabel(f"final loss, {finals.UNITS[unit]}")
        panel.grid(alpha=0.3, which="both", linewidth=0.5)

    return figures.drawn(draw, 3.3 + 0.17 * len(found), legend=True)
