"""The figures of a report, as PNG: losses against what training has cost, and the differences."""

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

from primer.common import files
from primer.experiments.report import finals
from primer.experiments.report.runs import Point, common_points
from primer.experiments.report.sections import Contender, Section

# Okabe and Ito's colors, which color-blind readers tell apart, without the yellow, which is pale on
# white. Lines of one color have another marker and dashes.
COLORS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
DASHES = ("-", "--", ":", "-.")
WIDTH = 4.6  # Inches: on a narrow phone the text of a figure is still that of the page.
DPI = 200

# Name of a figure -> (attribute of a point, label of the axis).
AXES = {
    "loss_by_steps": ("step", "training steps"),
    "loss_by_tokens": ("tokens", "training tokens, padding included"),
    "loss_by_flops": ("flops", "training FLOPs"),
    "loss_by_seconds": ("seconds", "wall time, seconds"),
}
ACCURACY, DIFFERENCES = "accuracy_by_steps", "differences"


def draw(section: Section) -> dict[str, bytes]:
    """Returns {name: PNG} of the figures of a section, without those that have no numbers."""
    found = {}
    for name, (key, label) in AXES.items():
        points = (p for c in section.contenders for v in c.curves for p in v.trained.values())
        if any(math.isfinite(getattr(point, key)) for point in points):
            found[name] = _drawn_over(_losses, section, key, label)
    if finals.has_accuracy(section):
        found[ACCURACY] = _drawn_over(_accuracies, section, *AXES["loss_by_steps"])
    compared = [c for c in section.contenders if c.comparison]
    if compared:
        height = 0.9 + 0.45 * len(compared)
        found[DIFFERENCES] = drawn(lambda panel: _differences(panel, section), height)
    return found


def _drawn_over(draw_panel: Callable[..., None], section: Section, key: str, label: str) -> bytes:
    height = 3.3 + 0.17 * len(section.contenders)
    return drawn(lambda panel: draw_panel(panel, section, key, label), height, legend=True)


def drawn(draw_panel: Callable[[Any], None], height: float, legend: bool = False) -> bytes:
    """Returns the PNG of a figure of one panel.

    Args:
        draw_panel: a function that draws on matplotlib axes.
        height: in inches; WIDTH is the width.
        legend: whether labels are listed below the panel.
    """
    pyplot = files.pyplot()
    with pyplot.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, panel = pyplot.subplots(figsize=(WIDTH, height), layout="constrained")
        draw_panel(panel)
        if legend:
            figure.legend(loc="outside lower left", frameon=False, fontsize=8, handlelength=4)
        picture = io.BytesIO()
        figure.savefig(picture, dpi=DPI, format="png")
        pyplot.close(figure)
    return picture.getvalue()


def style(number: int) -> dict[str, Any]:
    """Returns how the contender of this number is drawn: color, dashes, marker."""
    return {
        "color": COLORS[number % len(COLORS)],
        "linestyle": DASHES[number // len(COLORS) % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def _losses(panel: Any, section: Section, key: str, label: str) -> None:
    _curves(panel, section, key, section.unit)
    _cost_axis(panel, label)
    panel.set_ylabel(f"loss, {finals.UNITS[section.unit]}")
    panel.set_yscale("log")
    plain_numbers(panel.yaxis)


def _accuracies(panel: Any, section: Section, key: str, label: str) -> None:
    from matplotlib import ticker

    _curves(panel, section, key, "accuracy")
    _cost_axis(panel, label)
    panel.set_ylabel("accuracy")
    panel.set_ylim(-0.02, 1.02)
    panel.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))


def _curves(panel: Any, section: Section, key: str, value: str) -> None:
    """Draws a value of the results of each run thin, and the means over seeds thick."""
    for number, contender in enumerate(section.contenders):
        look = style(number)
        if len(contender.curves) > 1 or contender.stopped:
            for curve in [*contender.curves, *contender.stopped]:
                x, y = _coordinates(list(curve.trained.values()), key, value)
                panel.plot(x, y, color=look["color"], linewidth=0.6, alpha=0.45)
        x, y = mean_curve(contender, key, value)
        panel.plot(x, y, label=contender.name, linewidth=1.6, markersize=4.5, **look)


def _cost_axis(panel: Any, label: str) -> None:
    from matplotlib import ticker

    panel.set_xlabel(label)
    panel.xaxis.set_major_locator(ticker.MaxNLocator(nbins=6))
    panel.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))  # 20k, 3M, 4P.
    panel.grid(alpha=0.3, which="both", linewidth=0.5)


def _coordinates(points: Sequence[Point], key: str, value: str) -> tuple[list, list]:
    return [getattr(p, key) for p in points], [p.row.get(value, math.nan) for p in points]


def mean_curve(contender: Contender, key: str, value: str) -> tuple[list[float], list[float]]:
    """Returns the means over seeds of a cost and of a value, at the steps that all runs have.

    Args:
        contender: a group of runs.
        key: the attribute of a point that is the cost.
        value: the key of the value in a result: of the loss, or "accuracy".
    """
    x, y = [], []
    for points in zip(*common_points(contender.curves)):
        costs, values = _coordinates(points, key, value)
        x.append(sum(costs) / len(costs))
        y.append(sum(values) / len(values))
    return x, y


def plain_numbers(axis: Any) -> None:
    """Labels an axis with numbers as 3.5, also where it is logarithmic."""
    from matplotlib import ticker

    axis.set_major_locator(ticker.MaxNLocator(nbins=9, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(ticker.NullLocator())


def _differences(panel: Any, section: Section) -> None:
    """Draws each difference with its 95% interval, the first contender on top."""
    compared = [(n, c) for n, c in enumerate(section.contenders) if c.comparison]
    beside = panel.get_yaxis_transform()  # x from 0 to 1 over the panel.
    for place, (number, contender) in enumerate(compared):
        found, look = contender.comparison, style(number) | {"linestyle": "none"}
        assert found is not None
        if math.isfinite(found.low):
            panel.plot([found.low, found.high], [place, place], color=look["color"], linewidth=1.6)
        panel.plot([found.difference], [place], markersize=6, **look)
        # Above its line: long names beside it would leave no room on a narrow page.
        panel.text(0.01, place - 0.22, contender.name, transform=beside, fontsize=8, va="bottom")
    panel.axvline(0, color="#444444", linewidth=0.8)
    panel.set_yticks([])
    panel.set_ylim(len(compared) - 0.5, -0.8)
    panel.set_xlabel(f"{finals.UNITS[section.unit]} minus {section.baseline}; left of 0 is better")
    panel.grid(alpha=0.3, axis="x", linewidth=0.5)
