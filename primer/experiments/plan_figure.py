"""A plan as a PNG: the memory of a device against what it has, and memory and time by layer."""

from collections.abc import Sequence
from typing import Any

from primer.common import files
from primer.planning.plans.groups import Group, groups_of
from primer.planning.plans.plan import Plan

GIB = 2**30
# Kinds of memory at the peak, in the order of the bar, and their colors.
KINDS = {
    "parameters": ("parameters", "#1b6ca8"),
    "slots": ("optimizer slots", "#7fb2d9"),
    "states": ("states", "#c9c9c9"),
    "weight_casts": ("copies of weights", "#2a9d5c"),
    "gradients": ("gradients", "#d95f02"),
    "activations": ("activations", "#e8b04a"),
    "temporary": ("temporary", "#8a5fbf"),
}
BY_LAYER = ("parameters", "slots", "gradients", "activations")
TIMES = (("operations", "#4d4d4d"), ("collectives", "#d95f02"))


def draw(plan: Plan, path: str, title: str = "") -> None:
    """Writes the picture of a plan.

    Args:
        plan: the plan.
        path: where the PNG is written.
        title: above the picture; "" for the mesh and the chip.
    """
    pyplot = files.pyplot()
    groups = groups_of(plan)
    height = 2.6 + 0.3 * len(groups)
    figure, (top, *panels) = _panels(pyplot, height, len(groups))
    _draw_device(top, plan)
    _draw_memory(panels[0], groups)
    _draw_times(panels[1], groups)
    figure.suptitle(title or _title(plan), fontsize=11)
    files.write_figure(path, figure, dpi=130)
    pyplot.close(figure)


def _panels(pyplot: Any, height: float, rows: int) -> tuple[Any, list[Any]]:
    figure, panels = pyplot.subplot_mosaic(
        [["device", "device"], ["memory", "time"]],
        figsize=(10, height),
        height_ratios=[1.0, 0.3 * rows + 0.4],
        layout="constrained",
    )
    return figure, [panels[name] for name in ("device", "memory", "time")]


def _title(plan: Plan) -> str:
    mesh = " x ".join(f"{size} {axis}" for axis, size in plan.mesh.items()) or "one device"
    return (
        f"{plan.program.parameters:,} parameters on {mesh} ({plan.chip.name}): "
        f"{plan.time.tokens_per_second:,.0f} tokens/s estimated"
    )


def _draw_device(panel: Any, plan: Plan) -> None:
    """Draws what is in the memory of a device at the peak."""
    left = 0.0
    for kind, (label, color) in KINDS.items():
        number = plan.program.memory.at_peak.get(kind, 0) / GIB
        if number:
            panel.barh([0], [number], left=left, color=color, label=label)
            left += number
    capacity = plan.capacity / GIB
    panel.axvline(capacity, color="black", linestyle="--", linewidth=1.2)
    where = "right" if capacity > 0.15 * left else "left"
    panel.text(capacity, 0.52, f"the device has {capacity:.3g} GiB ", ha=where, fontsize=8)
    panel.set_xlim(0, 1.04 * max(capacity, left))
    panel.set_ylim(-0.5, 0.8)
    panel.set_yticks([])
    panel.set_xlabel("GiB of a device at the peak", fontsize=9)
    panel.legend(
        frameon=False, fontsize=8, ncols=len(KINDS), loc="lower center", bbox_to_anchor=(0.5, 1.0)
    )
    panel.spines[["top", "right", "left"]].set_visible(False)


def _draw_memory(panel: Any, groups: Sequence[Group]) -> None:
    names = _labels(groups)
    left = [0.0] * len(groups)
    for kind in BY_LAYER:
        label, color = KINDS[kind]
        numbers = [getattr(group, kind) / GIB for group in groups]
        panel.barh(names, numbers, left=left, color=color, label=label)
        left = [a + b for a, b in zip(left, numbers, strict=True)]
    panel.set_xlabel("GiB of a device, by layer", fontsize=9)
    panel.legend(frameon=False, fontsize=8, loc="lower right")
    _finish(panel)


def _draw_times(panel: Any, groups: Sequence[Group]) -> None:
    names = _labels(groups)
    communication = [group.communication for group in groups]
    operations = [group.seconds - group.communication for group in groups]
    (first, gray), (second, orange) = TIMES
    panel.barh(names, operations, color=gray, label=first)
    panel.barh(names, communication, left=operations, color=orange, label=second)
    panel.set_xlabel("seconds of a step, by layer", fontsize=9)
    panel.set_yticklabels([])
    panel.legend(frameon=False, fontsize=8, loc="lower right")
    _finish(panel)


def _labels(groups: Sequence[Group]) -> list[str]:
    """Returns the names of the rows; equal ones get the names of their layers."""
    labels = [_label(group) for group in groups]
    return [
        f"{group.name} {label}" if labels.count(label) > 1 else label
        for group, label in zip(groups, labels, strict=True)
    ]


def _label(group: Group) -> str:
    if not group.kind:
        return group.name
    return group.kind if group.times == 1 else f"{group.kind} x {group.times}"


def _finish(panel: Any) -> None:
    panel.invert_yaxis()
    panel.tick_params(labelsize=8)
    panel.grid(axis="x", alpha=0.3)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
