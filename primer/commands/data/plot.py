"""The histogram of document lengths that `primer data inspect` draws."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from primer.data.inspection import SplitStatistics


def draw_lengths(path: str, found: "SplitStatistics", title: str) -> None:
    """Draws the histogram of the documents' numbers of tokens.

    Args:
        path: the PNG file to write.
        found: the statistics of the split.
        title: the heading: task and split.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    bins = found.histogram()
    used = [place for place, (_, _, number) in enumerate(bins) if number]
    low, high, documents = map(np.array, zip(*bins[used[0] : used[-1] + 1], strict=True))
    low = np.maximum(low, 0.5)  # On the logarithmic axis, zero tokens lie left of one token.
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.bar(low, documents, width=high - low, align="edge", edgecolor="w")
    axes.axvline(max(found.quantile(0.5), 0.5), color="black", linestyle="--", linewidth=1)
    axes.set_xscale("log", base=2)
    if high[-1] < 8 * low[0]:  # One or two bars would fill the whole picture.
        axes.set_xlim(low[0] / 4, high[-1] * 4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("tokens of a document (dashed: the median)")
    axes.set_ylabel("documents")
    number = found.counts.examples
    unit = "document" if number == 1 else "documents"
    axes.set_title(f"{title}: {number:,} {unit}, {found.counts.tokens:,} tokens")
    figure.savefig(path)
