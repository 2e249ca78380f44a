"""Learning-rate schedules as a PNG: the rate by step, one curve each."""

from collections.abc import Mapping

from primer.common import files
from primer.experiments.curves import COLORS
from primer.planning.schedule_curve import ScheduleCurve

MORE_COLORS = ("#8a5fbf", "#a8801f")
# After the last color the first ones come again, in the next style.
STYLES = ("-", "--", ":", "-.")
LETTERS = 100  # Of labels, in a line that is as wide as the figure.


def draw_schedules(schedules: Mapping[str, ScheduleCurve], path: str, log: bool = False) -> None:
    """Writes a figure with a curve for each schedule.

    Args:
        schedules: {label: schedule}.
        path: where the PNG is written.
        log: whether the axis of rates is logarithmic, for rates of very different sizes.
    """
    pyplot = files.pyplot()
    from matplotlib import ticker

    colors = (*COLORS, *MORE_COLORS)
    figure, panel = pyplot.subplots(figsize=(8, 4.6), layout="constrained")
    for number, (label, schedule) in enumerate(schedules.items()):
        panel.plot(
            schedule.steps,
            schedule.rates,
            color=colors[number % len(colors)],
            linestyle=STYLES[number // len(colors) % len(STYLES)],
            linewidth=1.8,
            label=label,
        )
    panel.set_xlim(left=0, right=max(schedule.total for schedule in schedules.values()))
    panel.set_xlabel("step")
    panel.set_ylabel("learning rate")
    panel.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    if log:
        panel.set_yscale("log")
    else:
        panel.set_ylim(bottom=0)
        panel.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    # Columns are as wide as the longest label with its line.
    columns = max(1, min(5, LETTERS // (max(map(len, schedules)) + 8), len(schedules)))
    figure.legend(frameon=False, loc="outside upper center", ncols=columns)
    files.write_figure(path, figure, dpi=150)
    pyplot.close(figure)
