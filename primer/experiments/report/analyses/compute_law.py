"""The power law of a family's final losses over their compute, L(C) = E + a C^-b."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from primer.experiments.fits import drawn_laws, power_law, resampling
from primer.experiments.fits.power_law import PowerLaw
from primer.experiments.fits.resampling import Resampled
from primer.experiments.report.analyses import cells, part
from primer.experiments.report.analyses.cells import Cell, Runs
from primer.experiments.report.analyses.families import Family
from primer.experiments.report.analyses.part import Part, Table

HEADS = {
    "family": "family",
    "runs": "runs",
    "compute": "FLOPs from, to",
    "asymptote": "E",
    "asymptote_interval": "95% interval of E",
    "exponent": "b",
    "exponent_interval": "95% interval of b",
    "factor": "a",
    "deviation": "deviation",
}
DEFINITION = (
    "Loss against compute: L(C) = E + a C^-b, the mean Huber loss (delta 1e-3) of the log of the "
    "losses at its least, over the final losses of a family: groups that differ in size, steps, "
    "batch and learning rate alone. Groups that another undercuts with at most 1.05 times their "
    "FLOPs are not on the curve. Intervals are a bootstrap over runs. Deviation: root of the mean "
    "square of the runs' differences to the curve, in percent of the loss. The intervals hold if "
    "the law has this form, and say nothing of compute beyond that of the runs."
)


@dataclasses.dataclass(frozen=True)
class ComputeLaw:
    """The law of one family.

    Attributes:
        family: its name.
        runs: those on the curve; None without any.
        law: the law; None where there is a reason against it.
        resampled: the draws of the losses; None where there are too few runs for an interval.
        draws: the law of each draw.
        remarks: why there is no law or no interval, and which groups are not on the curve.
    """

    family: str
    runs: Runs | None
    law: PowerLaw | None = None
    resampled: Resampled | None = None
    draws: Sequence[PowerLaw] = ()
    remarks: Sequence[str] = ()

    @property
    def extent(self) -> tuple[float, float]:
        """The FLOPs of the smallest and of the largest run."""
        assert self.runs is not None
        return float(self.runs.flops.min()), float(self.runs.flops.max())

    def interval_of(self, number: Any) -> tuple[float, float]:
        """Returns the 95% interval of what a function makes of a law; (nan, nan) without one."""
        if self.resampled is None or self.law is None:
            return math.nan, math.nan
        draws = np.array([number(law) for law in self.draws])
        return self.resampled.interval(number(self.law), draws)

    def band(self, flops: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns the ends of the 95% intervals of the curve at FLOPs `[n]`; None without them."""
        if self.resampled is None or self.law is None:
            return None
        drawn = np.log([law.losses(flops[:, None]) for law in self.draws])  # [draws, n]
        half = np.array([self.resampled.half(column) for column in drawn.T])
        losses = self.law.losses(flops[:, None])
        return losses * np.exp(-half), losses * np.exp(half)


def fit_family(family: Family, unit: str, asymptote: float | None = None) -> ComputeLaw:
    """Returns the law of a family.

    Args:
        family: contenders of one section.
        unit: the section's unit.
        asymptote: E where it is pinned.
    """
    found, remarks = cells.of_family(family, unit)
    known = [cell for cell in found if cell.flops > 0]
    if len(known) < len(found):
        remarks.append("groups whose FLOPs are not recorded are not counted")
    kept = frontier(known)
    if len(kept) < len(known):
        remarks.append(
            f"{len(known) - len(kept)} of {len(known)} groups are not on the curve: another one "
            "with no more compute has a lower loss"
        )
    needed = power_law.number_of_parameters(1, asymptote)
    different = _different(kept)
    if different < needed:
        reason = (
            f"no fit: its groups on the curve have {different} different amounts of compute, and "
            f"the law has {needed} numbers"
        )
        return ComputeLaw(
            family.name, cells.runs_of(kept) if kept else None, None, None, (), [reason, *remarks]
        )
    return _fitted(family.name, cells.runs_of(kept), remarks, asymptote, needed)


def _fitted(
    name: str, runs: Runs, remarks: list[str], asymptote: float | None, needed: int
) -> ComputeLaw:
    variables = runs.flops[:, None]
    law = power_law.fit(variables, runs.losses, asymptote)
    if not law.is_determined:
        remarks = ["the runs do not determine all numbers of the law", *remarks]
    resampled = resampling.resample(
        runs.losses, law.losses(variables), runs.places, runs.seeds, needed
    )
    if resampled is None:
        remarks = [f"no interval: {len(runs.losses)} runs for {needed} numbers", *remarks]
        return ComputeLaw(name, runs, law, None, (), remarks)
    drawn = drawn_laws.fit(variables, above(resampled.losses, asymptote), law, asymptote)
    return ComputeLaw(name, runs, law, resampled, drawn, remarks)


def above(losses: np.ndarray, asymptote: float | None) -> np.ndarray:
    """Returns drawn losses that are above a pinned asymptote, as those of all runs are."""
    return losses if asymptote is None else np.maximum(losses, asymptote * (1 + 1e-6))


def frontier(found: Sequence[Cell]) -> list[Cell]:
    """Returns the cells that no cell of at most CLOSE times their compute undercuts."""
    return [
        cell
        for cell in found
        if not any(o.loss < cell.loss and o.flops <= cells.CLOSE * cell.flops for o in found)
    ]


def _different(found: Sequence[Cell]) -> int:
    """Returns how many different amounts of compute cells have."""
    amounts: list[float] = []
    for cell in found:
        if not any(cells.close(cell.flops, other) for other in amounts):
            amounts.append(cell.flops)
    return len(amounts)


def _row(found: ComputeLaw) -> dict[str, Any]:
    law, runs = found.law, found.runs
    asymptote = found.interval_of(lambda one: one.asymptote)
    exponent = found.interval_of(lambda one: one.exponents[0])
    factor = found.interval_of(lambda one: math.log(one.factors[0]))
    return {
        "family": found.family,
        "runs": len(runs.losses) if runs else 0,
        "groups": len(runs.cells) if runs else 0,
        "flops_low": found.extent[0] if runs else math.nan,
        "flops_high": found.extent[1] if runs else math.nan,
        "asymptote": law.asymptote if law else math.nan,
        "asymptote_low": max(asymptote[0], 0.0),
        "asymptote_high": asymptote[1],
        "factor": law.factors[0] if law else math.nan,
        "factor_low": _exp(factor[0]),
        "factor_high": _exp(factor[1]),
        "exponent": law.exponents[0] if law else math.nan,
        "exponent_low": exponent[0],
        "exponent_high": exponent[1],
        "deviation": _deviation(found),
        "drawn": found.resampled.what if found.resampled else "",
        "remarks": "; ".join(found.remarks),
    }


def _groups(found: ComputeLaw) -> list[dict[str, Any]]:
    """Returns the numbers of the groups that a law is fitted to."""
    return [
        {
            "family": found.family,
            "group": cell.name,
            "parameters": cell.size,
            "tokens": cell.tokens,
            "flops": cell.flops,
            "runs": len(cell.losses),
            "loss": cell.loss,
            "fitted": float(found.law.losses(np.array([[cell.flops]]))[0])
            if found.law
            else math.nan,
        }
        for cell in (found.runs.cells if found.runs else ())
    ]


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _deviation(found: ComputeLaw) -> float:
    """Returns the deviation; nan where the law has as many numbers as runs: it is 0 then."""
    if found.resampled is None or found.law is None or found.runs is None:
        return math.nan
    fitted = found.law.losses(found.runs.flops[:, None])
    errors = np.log(found.runs.losses) - np.log(fitted)
    return float(np.sqrt(np.mean(errors**2)))


def describe(laws: Sequence[ComputeLaw], pinned: bool) -> Part:
    """Returns the part of the page without its figure.

    Args:
        laws: of all families of a section.
        pinned: whether E was given.
    """
    numbers = [_row(law) for law in laws]
    texts = [_texts(row) for row in numbers if math.isfinite(row["exponent"])]
    sentences = [f"{law.family}: {'; '.join(law.remarks)}." for law in laws if law.remarks]
    if pinned:
        sentences.insert(0, "E is pinned (--asymptote), not fitted.")
    return Part(
        "compute_law",
        "Loss against compute over sizes",
        [Table(HEADS, texts)] if texts else [],
        sentences,
        {},
        {"compute_law": numbers, "compute_law_groups": [r for law in laws for r in _groups(law)]},
        [DEFINITION] if texts else [],
    )


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "family": row["family"],
        "runs": str(row["runs"]),
        "compute": f"{part.count(row['flops_low'])}, {part.count(row['flops_high'])}",
        "asymptote": part.number(row["asymptote"], "{:.4f}"),
        "asymptote_interval": part.interval(row["asymptote_low"], row["asymptote_high"], "{:.4f}"),
        "exponent": part.number(row["exponent"], "{:.4f}"),
        "exponent_interval": part.interval(row["exponent_low"], row["exponent_high"], "{:.4f}"),
        "factor": part.number(row["factor"]),
        "deviation": part.number(100 * row["deviation"], "{:.2g}%"),
    }
