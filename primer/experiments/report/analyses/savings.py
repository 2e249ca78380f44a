"""Implied savings: how many times the compute the baseline needs for a family's loss.

From the laws of compute of the two, at the FLOPs C of each of the baseline's groups,

    factor(C) = C / C_family(L_baseline(C))

with C_family(L) the compute at which the family's law has the loss L. It is told where both laws
are within their runs: at losses that both families have measured.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from primer.experiments.report.analyses import part
from primer.experiments.report.analyses.compute_law import ComputeLaw
from primer.experiments.report.analyses.part import Part, Table

HEADS = {
    "family": "family",
    "flops": "FLOPs of the baseline",
    "loss": "its loss",
    "factor": "compute factor",
    "interval": "95% interval",
}
POINTS = 25  # Of the curve in the figure.
# What lies this close beyond the runs, in log, is no extrapolation: the fit passes beside them.
_EDGE = 0.02


@dataclasses.dataclass(frozen=True)
class Savings:
    """The factors of a family over the baseline's.

    Attributes:
        family, baseline: their names.
        flops: the compute of the baseline, `[n]`.
        losses: its losses there.
        factors: how many times the family's compute that is; above 1 the family needs less.
        low, high: their 95% intervals; nan without.
        is_measured: whether the family's compute there is within its runs.
    """

    family: str
    baseline: str
    flops: np.ndarray
    losses: np.ndarray
    factors: np.ndarray
    low: np.ndarray
    high: np.ndarray
    is_measured: np.ndarray


def at_equal_loss(law: ComputeLaw, baseline: ComputeLaw, flops: np.ndarray) -> Savings:
    """Returns the factors of a family at compute of the baseline.

    Args:
        law, baseline: their laws, both with a fit.
        flops: the compute of the baseline, `[n]`.
    """
    assert law.law is not None and baseline.law is not None
    losses = baseline.law.losses(flops[:, None])
    needed = law.law.variable_at(losses)
    first, last = law.extent
    logs = np.log(flops) - np.log(needed)
    half = _halves(law, baseline, flops)
    with np.errstate(invalid="ignore"):
        inside = (needed >= first * math.exp(-_EDGE)) & (needed <= last * math.exp(_EDGE))
    return Savings(
        law.family,
        baseline.family,
        flops,
        losses,
        np.exp(logs),
        np.exp(logs - half),
        np.exp(logs + half),
        inside,
    )


def _halves(law: ComputeLaw, baseline: ComputeLaw, flops: np.ndarray) -> np.ndarray:
    """Returns half of each interval of the log of the factor; nan without draws.

    Draws of the same seeds are paired: what a seed does to both families cancels.
    """
    if law.resampled is None or baseline.resampled is None:
        return np.full(len(flops), math.nan)
    found = np.array(
        [
            np.log(flops) - np.log(own.variable_at(base.losses(flops[:, None])))
            for own, base in zip(law.draws, baseline.draws)
        ]
    )  # [draws, n]
    widest = min(law.resampled, baseline.resampled, key=lambda one: one.degrees)
    # A draw whose law never has the loss: there is no bound.
    return np.array(
        [widest.half(column) if np.isfinite(column).all() else math.inf for column in found.T]
    )


def of_section(laws: Sequence[ComputeLaw], baseline: str) -> list[tuple[Savings, Savings]]:
    """Returns, for each family but the baseline's, the factors at its groups and along the curve.

    Args:
        laws: of all families of a section.
        baseline: the name of the baseline's family.
    """
    base = next((law for law in laws if law.family == baseline), None)
    if base is None or base.law is None or base.runs is None:
        return []
    at = np.unique(base.runs.flops)
    along = np.geomspace(*base.extent, POINTS)
    return [
        (at_equal_loss(law, base, at), at_equal_loss(law, base, along))
        for law in laws
        if law is not base and law.law is not None
    ]


def rows(found: Sequence[Savings]) -> list[dict[str, Any]]:
    """Returns the numbers of each family at each compute of the baseline."""
    return [
        {
            "family": one.family,
            "baseline": one.baseline,
            "flops": float(one.flops[place]),
            "loss": float(one.losses[place]),
            "factor": float(one.factors[place]),
            "low": float(one.low[place]),
            "high": float(one.high[place]),
            "measured": bool(one.is_measured[place]),
        }
        for one in found
        for place in range(len(one.flops))
    ]


def describe(found: Sequence[Savings], baseline: str) -> Part:
    """Returns the part of the page without its figure."""
    numbers = rows(found)
    texts = [
        {
            "family": row["family"],
            "flops": part.count(row["flops"]),
            "loss": part.number(row["loss"], "{:.4f}"),
            "factor": part.number(row["factor"], "{:.2f}"),
            "interval": _interval(row),
        }
        for row in numbers
        if row["measured"]
    ]
    outside = [row for row in numbers if not row["measured"]]
    sentences = []
    if outside:
        which = ", ".join(f"{row['family']} at {part.count(row['flops'])}" for row in outside)
        sentences.append(
            f"Not given, because the family has no run of that loss: {which} FLOPs of {baseline}. "
            "The CSV has them, marked: there the family's law is extrapolated."
        )
    return Part(
        "savings",
        f"Implied savings over {baseline}",
        [Table(HEADS, texts)] if texts else [],
        sentences,
        {},
        {"savings": numbers},
        [
            f"Compute factor: FLOPs of {baseline} / FLOPs at which a family's law has the same "
            "loss; 2 means half the compute. Its interval is the bootstrap of both laws, in pairs "
            "where both have the same seeds."
        ],
    )


def _interval(row: dict[str, Any]) -> str:
    if math.isnan(row["low"]):
        return "-"
    if math.isinf(row["high"]):
        return "no bound"
    return part.interval(row["low"], row["high"], "{:.2f}")
