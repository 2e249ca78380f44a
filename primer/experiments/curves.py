"""Learning curves of several models: validation perplexity by tokens and by time, as a PNG."""

from collections.abc import Mapping, Sequence
from typing import Any

from primer.common import files

# One color and one marker per model, in order; color-blind readers can tell the colors apart.
COLORS = ("#4d4d4d", "#d95f02", "#1b6ca8", "#2a9d5c")
MARKERS = ("o", "s", "^", "D")


def draw_curves(results: Sequence[Mapping[str, Any]], title: str, path: str) -> None:
    """Writes a figure of two panels that share the axis of perplexities.

    Args:
        results: dicts with "label" and "checkpoints", rows with "tokens_trained", "seconds" and
            "perplexity_per_token".
        title: the title above both panels.
        path: where the PNG is written.
    """
    pyplot = files.pyplot()
    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4.4), sharey=True, layout="constrained")
    axes = (
        ("tokens_trained", 1e3, "training tokens (thousands)"),
        ("seconds", 1, "training time (seconds)"),
    )
    for panel, (key, unit, label) in zip(panels, axes, strict=True):
        _panel(panel, results, key, unit)
        panel.set_xlabel(label)
    panels[0].set_ylabel("validation perplexity per token")
    panels[1].legend(frameon=False)
    figure.suptitle(title, fontsize=11)
    files.write_figure(path, figure, dpi=150)
    pyplot.close(figure)


def _panel(panel, results, key, unit):
    from matplotlib import ticker

    for number, result in enumerate(results):
        rows = result["checkpoints"]
        panel.plot(
            [row[key] / unit for row in rows],
            [row["perplexity_per_token"] for row in rows],
            color=COLORS[number % len(COLORS)],
            marker=MARKERS[number % len(MARKERS)],
            label=result["label"],
        )
    panel.set_yscale("log")
    panel.set_xlim(left=0)
    for kind in ("major", "minor"):
        axis = getattr(panel.yaxis, f"set_{kind}_formatter")
        axis(ticker.StrMethodFormatter("{x:,.0f}"))
    panel.grid(alpha=0.3, which="both")
    panel.spines[["top", "right"]].set_visible(False)
