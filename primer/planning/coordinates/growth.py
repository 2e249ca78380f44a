"""How outputs grow with the width: slopes of log size against log width, and what is flat."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from primer.planning.coordinates.activations import Output

# A slope is a power of the width. With settings that do not carry over, changes grow with powers of
# 0.5 (steps in proportion to the weights) to 1 (Adam); narrow models deviate by 0.2 at times.
GROWS = 0.2
# Updates that vanish as 1 / sqrt(width) or faster; attention falls a little in narrow models.
# Logits may fall so: they begin as 1 / sqrt(width), and few steps change those of few tokens.
VANISHES = -0.4


@dataclasses.dataclass
class Growth:
    """An output at several widths.

    Attributes:
        name, part, kind: as of `activations.Output`.
        size: of each number of steps done, from 0, the size at each width.
        change: likewise the change since before the first step.
        size_slope: of each number of steps, the slope of log size against log width.
        change_slope: likewise of the change; 0 before the first step.
        verdict: "flat", "grows", "vanishes", or "falls" of logits.
    """

    name: str
    part: str
    kind: str
    size: list[list[float]]
    change: list[list[float]]
    size_slope: list[float]
    change_slope: list[float]
    verdict: str

    @property
    def is_flat(self) -> bool:
        """Whether neither the size nor training is lost at large widths."""
        return self.verdict in ("flat", "falls")

    @property
    def label(self) -> str:
        """The name with what is measured there."""
        return self.name if self.name == self.part else f"{self.name} {self.kind or self.part}"


def of_outputs(widths: Sequence[int], measured: Sequence[Sequence[Output]]) -> list[Growth]:
    """Returns the growth of each output.

    Args:
        widths: two or more.
        measured: of each width, `activations.measure`.
    """
    return [_of_output(widths, outputs) for outputs in zip(*measured, strict=True)]


def _of_output(widths, outputs) -> Growth:
    first = outputs[0]
    size = [list(sizes) for sizes in zip(*(output.size for output in outputs), strict=True)]
    change = [list(sizes) for sizes in zip(*(output.change for output in outputs), strict=True)]
    sizes = [slope(widths, values) for values in size]
    changes = [0.0, *(slope(widths, values) for values in change[1:])]
    verdict = _verdict(first.part, sizes[1:], changes[1:])
    return Growth(first.name, first.part, first.kind, size, change, sizes, changes, verdict)


def _verdict(part: str, sizes: list[float], changes: list[float]) -> str:
    """Judges the slopes after every step."""
    if not all(map(math.isfinite, [*sizes, *changes])) or max(*sizes, *changes) > GROWS:
        return "grows"
    if min(changes) >= VANISHES:
        return "flat"
    return "falls" if part == "logits" else "vanishes"


def slope(widths: Sequence[int], values: Sequence[float]) -> float:
    """Returns the power p of the least-squares fit of values to c * width^p.

    Args:
        widths: two or more different numbers.
        values: one for each; with one that is 0 or no number the slope is no number.
    """
    if not all(0 < value < math.inf for value in values):
        return math.nan
    x, y = [math.log(width) for width in widths], [math.log(value) for value in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    products = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return products / sum((a - mean_x) ** 2 for a in x)


def as_data(growths: Sequence[Growth]) -> list[dict[str, Any]]:
    """Returns the growth of each output as data for JSON; a slope that is no number is None."""

    def plain(value):
        if isinstance(value, list):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return [
        {key: plain(value) for key, value in dataclasses.asdict(growth).items()}
        for growth in growths
    ]
