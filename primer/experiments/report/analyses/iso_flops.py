"""Losses of several sizes at equal compute: a parabola over the log of the size for each budget."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from primer.experiments.fits import parabola
from primer.experiments.fits.parabola import Parabola
from primer.experiments.report.analyses import cells, part
from primer.experiments.report.analyses.cells import Cell, Runs
from primer.experiments.report.analyses.families import Family
from primer.experiments.report.analyses.part import Part, Table

FEWEST = 3
HEADS = {
    "family": "family",
    "flops": "FLOPs",
    "sizes": "sizes",
    "runs": "runs",
    "size": "best size",
    "interval": "95% interval",
    "loss": "loss there",
    "remarks": "",
}
DEFINITION = (
    "Equal compute: where a family has three sizes or more with FLOPs within 1.05 of each other, "
    "their losses are fitted by a parabola over log N (N: parameters without embedding that a "
    "token uses), with a constant of each seed. Best size: its minimum, with Fieller's interval, "
    "which is unbounded where the curvature is not shown. A minimum outside the sizes that were "
    "trained is an extrapolation, and marked."
)


@dataclasses.dataclass(frozen=True)
class Budget:
    """The sizes of a family at one compute.

    Attributes:
        family: its name.
        runs: the runs.
        curve: the parabola over log10 of the size.
    """

    family: str
    runs: Runs
    curve: Parabola

    @property
    def flops(self) -> float:
        """The mean FLOPs of the runs."""
        return float(self.runs.flops.mean())


def budgets(family: Family, unit: str) -> list[Budget]:
    """Returns the budgets of a family at which it has FEWEST sizes or more, in their order."""
    found, _ = cells.of_family(family, unit)
    known = [cell for cell in found if cell.size > 0 and cell.flops > 0]
    return [
        Budget(family.name, runs, parabola.fit(np.log10(runs.sizes), runs.losses, runs.seeds))
        for runs in map(cells.runs_of, _sets(known))
    ]


def _sets(found: Sequence[Cell]) -> list[list[Cell]]:
    """Returns sets of cells of equal compute, each of FEWEST sizes or more."""
    sets: list[list[Cell]] = []
    for cell in sorted(found, key=lambda one: one.flops):
        if sets and cells.close(sets[-1][0].flops, cell.flops):
            sets[-1].append(cell)
        else:
            sets.append([cell])
    return [own for own in sets if len({cell.size for cell in own}) >= FEWEST]


def rows(found: Sequence[Budget]) -> list[dict[str, Any]]:
    """Returns the numbers of budgets."""
    return [_row(budget) for budget in found]


def _row(budget: Budget) -> dict[str, Any]:
    curve, sizes = budget.curve, budget.runs.sizes
    size = 10**curve.minimum if math.isfinite(curve.minimum) else math.nan
    outside = math.isfinite(size) and not sizes.min() <= size <= sizes.max()
    remarks = []
    if math.isnan(size):
        remarks.append("the curve has no minimum")
    if outside:
        remarks.append("extrapolated: outside the sizes that were trained")
    if math.isnan(curve.low):
        remarks.append("no interval: as many numbers as runs")
    elif math.isinf(curve.low):
        remarks.append("the curvature is not shown")
    return {
        "family": budget.family,
        "flops": budget.flops,
        "sizes": len(set(sizes)),
        "runs": len(sizes),
        "smallest": float(sizes.min()),
        "largest": float(sizes.max()),
        "size": size,
        "low": _power(curve.low),
        "high": _power(curve.high),
        "loss": math.nan if math.isnan(size) else float(curve.losses(np.log10([size]))[0]),
        "curvature": curve.numbers[2],
        "remarks": "; ".join(remarks),
    }


def _power(value: float) -> float:
    """Returns 10 to a power; the log of a size may be any number."""
    if math.isinf(value) or value > 300:
        return math.inf if value > 0 else -math.inf
    return 10**value


def describe(found: Sequence[Budget]) -> Part:
    """Returns the part of the page without its figures."""
    numbers = rows(found)
    texts = [
        {
            "family": row["family"],
            "flops": part.count(row["flops"]),
            "sizes": str(row["sizes"]),
            "runs": str(row["runs"]),
            "size": part.count(row["size"]),
            "interval": _interval(row),
            "loss": part.number(row["loss"], "{:.4f}"),
            "remarks": row["remarks"],
        }
        for row in numbers
    ]
    return Part(
        "iso_flops",
        "Sizes at equal compute",
        [Table(HEADS, texts)],
        [],
        {},
        {"iso_flops": numbers},
        [DEFINITION],
    )


def _interval(row: dict[str, Any]) -> str:
    if math.isfinite(row["low"]) and math.isfinite(row["high"]):
        return f"{part.count(row['low'])} to {part.count(row['high'])}"
    return part.interval(row["low"], row["high"])
