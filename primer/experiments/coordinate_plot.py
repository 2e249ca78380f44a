"""The sizes of layers' outputs against the width of the model, as a PNG."""

import math
from typing import TYPE_CHECKING, Any

from primer.common import files

if TYPE_CHECKING:
    from primer.planning.coordinates.coordinate_check import CoordinateCheck
    from primer.planning.coordinates.growth import Growth

ROWS = (("size", "mean |output|"), ("change", "mean |output - initial output|"))


def draw_coordinates(result: "CoordinateCheck", path: str) -> None:
    """Writes a figure of two rows, sizes and changes, and a column for each part of the model.

    A line is the geometric mean over the part's layers after a number of steps; a flat line is a
    size that does not depend on the width.

    Args:
        result: what is drawn.
        path: where the PNG is written.
    """
    pyplot = files.pyplot()
    parts = list(dict.fromkeys(output.part for output in result.outputs))
    figure, panels = pyplot.subplots(
        2, len(parts), figsize=(2.6 * len(parts) + 0.8, 5.4), sharex=True, layout="constrained"
    )
    for column, part in enumerate(parts):
        outputs = [output for output in result.outputs if output.part == part]
        for row, (quantity, label) in enumerate(ROWS):
            panel = panels[row][column]
            _draw(panel, result, outputs, quantity)
            if not row:
                panel.set_title(part, fontsize=10)
            if not column:
                panel.set_ylabel(label)
    for panel in panels[1]:
        panel.set_xlabel("d_model")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.suptitle(_title(result), fontsize=11)
    files.write_figure(path, figure, dpi=150)
    pyplot.close(figure)


def _title(result) -> str:
    carried = "no base_width" if result.base_width is None else f"base_width {result.base_width:g}"
    verdict = "flat" if result.is_flat else "not flat"
    rate = f"learning rate {result.learning_rate:g}"
    return f"{result.optimizer.lstrip('@')}, {rate}, {carried}: {verdict}"


def _draw(panel: Any, result: "CoordinateCheck", outputs: "list[Growth]", quantity: str) -> None:
    """Draws one line for each number of steps; before the first step nothing has changed."""
    import matplotlib

    colors = matplotlib.colormaps["viridis"]
    for step in range(quantity == "change", result.steps + 1):
        values = [
            _geometric_mean([getattr(output, quantity)[step][index] for output in outputs])
            for index in range(len(result.widths))
        ]
        color = colors(0.9 * step / result.steps)
        label = f"{step} step{'s' * (step != 1)}"
        panel.plot(result.widths, values, color=color, marker="o", markersize=4, label=label)
    _set_axes(panel, result.widths)


def _geometric_mean(values: list[float]) -> float:
    if not all(0 < value < math.inf for value in values):
        return math.nan  # Not drawn.
    return math.exp(sum(map(math.log, values)) / len(values))


def _set_axes(panel: Any, widths: list[int]) -> None:
    """Sets logarithmic axes of at least a factor of ten, so that a flat line looks flat."""
    from matplotlib import ticker

    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(widths, [str(width) for width in widths])
    panel.xaxis.set_minor_locator(ticker.NullLocator())
    low, high = panel.get_ylim()
    spare = (10 * low / high) ** 0.5
    if spare > 1:
        panel.set_ylim(low / spare, high * spare)
    panel.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_minor_locator(ticker.NullLocator())
    panel.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
