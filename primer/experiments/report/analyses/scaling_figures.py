"""The figures of fits over sizes: curves with their bands, in log-log."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from primer.experiments.fits.power_law import PowerLaw
from primer.experiments.report import figures, finals
from primer.experiments.report.analyses.cells import Runs
from primer.experiments.report.analyses.compute_law import ComputeLaw
from primer.experiments.report.analyses.iso_flops import Budget
from primer.experiments.report.analyses.savings import Savings

_POINTS = 60
_BAND = 0.18  # Its opacity.


def compute_curves(laws: Sequence[ComputeLaw], unit: str) -> bytes:
    """Returns the PNG of losses against compute, with the laws within their runs.

    Args:
        laws: of all families; those without a law have their points alone.
        unit: the unit of the losses.
    """

    def draw(panel: Any) -> None:
        for number, found in enumerate(laws):
            if found.runs is None:
                continue
            drawn = figures.style(number)
            for cell in found.runs.cells:
                losses = list(cell.losses.values())
                panel.plot(
                    *([cell.flops] * len(losses), losses),
                    **{**drawn, "linestyle": "none"},
                    markersize=2.5,
                    alpha=0.5,
                )
            means = [cell.loss for cell in found.runs.cells]
            panel.plot(
                *([cell.flops for cell in found.runs.cells], means),
                **{**drawn, "linestyle": "none"},
                markersize=5,
                label=found.family,
            )
            _curve(panel, found, drawn)
        _log_axes(panel, "training FLOPs", f"loss, {finals.UNITS[unit]}")

    return figures.drawn(draw, 3.3 + 0.17 * len(laws), legend=True)


def _curve(panel: Any, found: ComputeLaw, drawn: dict[str, Any]) -> None:
    if found.law is None:
        return
    x = np.geomspace(*found.extent, _POINTS)
    panel.plot(
        *(x, found.law.losses(x[:, None])),
        color=drawn["color"],
        linestyle=drawn["linestyle"],
        linewidth=1.4,
    )
    band = found.band(x)
    if band is not None:
        panel.fill_between(x, *band, color=drawn["color"], alpha=_BAND, linewidth=0)


def sizes_at_equal_compute(budgets: Sequence[Budget], unit: str) -> bytes:
    """Returns the PNG of a family's losses against the size, a curve for each budget."""
    from primer.experiments.report.analyses import part

    def draw(panel: Any) -> None:
        for number, budget in enumerate(budgets):
            drawn = figures.style(number)
            label = f"{part.count(budget.flops)} FLOPs"
            panel.plot(
                *(budget.runs.sizes, budget.runs.losses),
                **{**drawn, "linestyle": "none"},
                markersize=4,
                label=label,
            )
            first, last = np.log10([budget.runs.sizes.min(), budget.runs.sizes.max()]).tolist()
            x = np.linspace(first, last, _POINTS)
            panel.plot(
                *(10**x, budget.curve.losses(x)),
                color=drawn["color"],
                linestyle=drawn["linestyle"],
                linewidth=1.4,
            )
            if x[0] <= budget.curve.minimum <= x[-1]:
                lowest = float(budget.curve.losses(np.array([budget.curve.minimum]))[0])
                panel.plot(
                    *([10**budget.curve.minimum], [lowest]),
                    marker="|",
                    markersize=14,
                    color="#444444",
                )
        _log_axes(panel, "parameters without embedding", f"loss, {finals.UNITS[unit]}")

    return figures.drawn(draw, 3.3 + 0.17 * len(budgets), legend=True)


def sizes_and_tokens(runs: Runs, law: PowerLaw, unit: str) -> bytes:
    """Returns the PNG of losses against tokens, with the law of each size.

    Args:
        runs: those of a family.
        law: its law over sizes and tokens.
        unit: the unit of the losses.
    """
    from primer.experiments.report.analyses import part

    sizes = sorted(set(runs.sizes.tolist()))

    def draw(panel: Any) -> None:
        for number, size in enumerate(sizes):
            drawn, own = figures.style(number), runs.sizes == size
            panel.plot(
                *(runs.tokens[own], runs.losses[own]),
                **{**drawn, "linestyle": "none"},
                markersize=4,
                label=f"{part.count(size)} parameters without embedding",
            )
            x = np.geomspace(runs.tokens.min(), runs.tokens.max(), _POINTS)
            panel.plot(
                *(x, law.losses(np.column_stack([np.full(_POINTS, size), x]))),
                color=drawn["color"],
                linestyle=drawn["linestyle"],
                linewidth=1.4,
            )
        _log_axes(panel, "training tokens, padding included", f"loss, {finals.UNITS[unit]}")

    return figures.drawn(draw, 3.3 + 0.17 * len(sizes), legend=True)


def compute_factors(found: Sequence[Savings], families: Sequence[str]) -> bytes:
    """Returns the PNG of compute factors against the baseline's compute, where both are measured.

    Args:
        found: those along the curve.
        families: the names of all families, in the order of the other figures.
    """

    def draw(panel: Any) -> None:
        for one in found:
            drawn, inside = figures.style(families.index(one.family)), one.is_measured
            panel.plot(
                *(one.flops[inside], one.factors[inside]),
                **drawn,
                label=one.family,
                markersize=4.5,
                markevery=0.2,
            )
            known = inside & np.isfinite(one.low) & np.isfinite(one.high)
            panel.fill_between(
                *(one.flops[known], one.low[known], one.high[known]),
                color=drawn["color"],
                alpha=_BAND,
                linewidth=0,
            )
        panel.axhline(1, color="#444444", linewidth=0.8)
        _log_axes(panel, "training FLOPs of the baseline", "compute factor at equal loss")

    return figures.drawn(draw, 3.0 + 0.17 * len(found), legend=True)


def _log_axes(panel: Any, x_label: str, y_label: str) -> None:
    from matplotlib import ticker

    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(x_label)
    panel.set_ylabel(y_label)
    figures.plain_numbers(panel.yaxis)
    low, high = panel.get_xlim()
    subs = (1, 2, 5) if high < 100 * low else (1,)
    panel.xaxis.set_major_locator(ticker.LogLocator(subs=subs, numticks=7))
    panel.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    panel.xaxis.set_minor_locator(ticker.NullLocator())
    panel.grid(alpha=0.3, which="both", linewidth=0.5)
