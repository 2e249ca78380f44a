"""A profile as a PNG: the time of each layer by phase, of each kind, and of equal operations."""

from collections.abc import Sequence
from typing import Any

from primer.common import files
from primer.planning.device_program.parts import BACKWARD, FORWARD, UPDATE
from primer.profiling import rows
from primer.profiling.profile import OTHER, Profile
from primer.profiling.rows import Row

COLORS = {FORWARD: "#1b6ca8", BACKWARD: "#d95f02", UPDATE: "#2a9d5c", OTHER: "#9a9a9a"}
KINDS, FORMS = 12, 14
# Shares of the time below which a layer has no bar.
_LEAST = 0.001
_LONGEST_LABEL = 76


def draw(profile: Profile, path: str, title: str = "") -> None:
    """Writes the picture of a profile.

    Args:
        profile: the profile.
        path: where the PNG is written.
        title: above the picture; "" for the batch and the time.
    """
    pyplot = files.pyplot()
    layers = [r for r in rows.by_layer(profile) if r.seconds >= _LEAST * profile.seconds]
    kinds = rows.by_kind(profile)[:KINDS]
    forms = rows.by_form(profile)[:FORMS]
    heights = [0.9 + 0.27 * max(len(layers), len(kinds)), 0.9 + 0.27 * len(forms)]
    figure, panels = pyplot.subplot_mosaic(
        [["layers", "kinds"], ["forms", "forms"]],
        figsize=(13, 1.0 + sum(heights)),
        height_ratios=heights,
        width_ratios=[1.25, 1.0],
        layout="constrained",
    )
    labels = [f"{row.name}  {row.kind}".rstrip() for row in layers]
    _draw_rows(panels["layers"], profile, layers, labels, "by layer")
    _draw_rows(panels["kinds"], profile, kinds, [row.name for row in kinds], "by kind of operation")
    _draw_rows(panels["forms"], profile, forms, list(map(_form_label, forms)), "equal operations")
    panels["layers"].legend(*_legend(pyplot), frameon=False, fontsize=8, loc="best")
    figure.suptitle(title or _title(profile), fontsize=11)
    files.write_figure(path, figure, dpi=120)
    pyplot.close(figure)


def _title(profile: Profile) -> str:
    p = profile.protocol
    work = "training step" if p.mode == "train" else "evaluation"
    return (
        f"{work} of {p.batch_text} tokens, {p.dtype}: {1e3 * p.step_seconds:,.1f} ms, "
        f"operations {1e3 * profile.seconds:,.1f} ms; "
        f"{p.product} at {p.product_speed / 1e9:,.1f} GFLOP/s"
    )


def _draw_rows(
    panel: Any, profile: Profile, found: Sequence[Row], labels: Sequence[str], title: str
) -> None:
    """Draws a bar for each row, and a mark where its products alone would end at full speed."""
    places = list(range(len(found)))
    left = [0.0] * len(found)
    for phase, color in COLORS.items():
        times = [1e3 * row.phases[phase] for row in found]
        panel.barh(places, times, left=left, color=color, height=0.72)
        left = [a + b for a, b in zip(left, times, strict=True)]
    most = max(left, default=1.0)
    for place, row, end in zip(places, found, left, strict=True):
        ideal = 1e3 * row.flops / profile.protocol.product_speed
        if ideal:
            panel.plot([ideal, ideal], [place - 0.45, place + 0.45], color="black", linewidth=2)
        panel.text(
            max(end, ideal) + 0.012 * most, place, _remark(profile, row), va="center", fontsize=7.5
        )
    panel.set_yticks(places, labels, fontsize=8)
    panel.set_xlim(0, 1.5 * most)
    panel.set_title(title, fontsize=9, loc="left")
    panel.set_xlabel("milliseconds of a step", fontsize=8)
    panel.tick_params(axis="x", labelsize=8)
    panel.invert_yaxis()
    panel.grid(axis="x", alpha=0.3)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _remark(profile: Profile, row: Row) -> str:
    """Returns the share of the time, and the speed of products or of access to memory."""
    share = f"{row.seconds / profile.seconds:.1%}"
    if row.flops:
        return f"{share}, {row.speed / profile.protocol.product_speed:.0%} of product"
    return f"{share}, {row.bandwidth / 1e9:.2g} GB/s"


def _form_label(row: Row) -> str:
    label = f"{row.kind}  {row.name}"
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 3]}..."


def _legend(pyplot: Any) -> tuple[list[Any], list[str]]:
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=color) for color in COLORS.values()]
    mark = pyplot.Line2D([], [], color="black", linewidth=2)
    return [*handles, mark], [*COLORS, "the products at full speed"]
