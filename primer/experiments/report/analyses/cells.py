"""The finals of a family by size and tokens: what fits over sizes are made of."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from primer.experiments.report import schedules
from primer.experiments.report.analyses.families import Family
from primer.experiments.report.runs import Curve
from primer.experiments.report.sections import Contender

# The key of a result with the size: parameters that multiply a token's activations. Experts count
# those that a token chooses.
SIZE = "active_parameters_without_embedding"
# Costs and sizes this close count as equal.
CLOSE = 1.05


@dataclasses.dataclass(frozen=True)
class Cell:
    """The finals of one contender.

    Attributes:
        name: that of the contender.
        size: its parameters; nan where its results do not have them.
        tokens, flops: of its training, means over seeds; nan where not recorded.
        losses: {seed: final loss}, in the section's unit; runs without a seed have negative keys.
    """

    name: str
    size: float
    tokens: float
    flops: float
    losses: Mapping[int, float]

    @property
    def loss(self) -> float:
        """The mean over seeds."""
        return float(np.mean(list(self.losses.values())))


@dataclasses.dataclass(frozen=True)
class Runs:
    """Runs of several cells as arrays, `[n]` each.

    Attributes:
        cells: the cells.
        places: of each run, the place of its cell.
        seeds: its seed, or None.
        losses, sizes, tokens, flops: its numbers; those of its cell but for the loss.
    """

    cells: Sequence[Cell]
    places: list[int]
    seeds: list[int | None]
    losses: np.ndarray
    sizes: np.ndarray
    tokens: np.ndarray
    flops: np.ndarray


def of_family(family: Family, unit: str) -> tuple[list[Cell], list[str]]:
    """Returns the cells of a family, sorted by size and tokens, and remarks on what they leave out.

    Of contenders of equal size and tokens, which differ in learning rate or batch, the one with the
    lowest mean loss counts.
    """
    found: list[Cell] = []
    remarks: list[str] = []
    for contender in family.contenders:
        losses, problems = _losses(contender, unit)
        remarks += [f"{contender.name}: {problem}" for problem in problems]
        if losses:
            found.append(_cell(contender, losses))
    best: list[Cell] = []
    for cell in sorted(found, key=lambda one: one.loss):
        if not any(_alike(one, cell) for one in best):
            best.append(cell)
    if len(best) < len(found):
        remarks.append(
            f"of {len(found)} groups {len(best)} count: of equal sizes and tokens the one with the "
            "lowest loss"
        )
    return sorted(best, key=lambda one: (one.size, one.tokens)), remarks


def _losses(contender: Contender, unit: str) -> tuple[dict[int, float], list[str]]:
    found, problems = {}, []
    for number, curve in enumerate(contender.finals):
        loss, problem = curve.last.row[unit], _obstacle(curve)
        who = "a run" if curve.run.seed is None else f"seed {curve.run.seed}"
        if problem or not math.isfinite(loss) or loss <= 0:
            problems.append(f"{who} is not counted: {problem or 'its loss is not finite'}")
            continue
        found[-1 - number if curve.run.seed is None else curve.run.seed] = loss
    return found, problems


def _obstacle(curve: Curve) -> str:
    if curve.run.stopped_early is not None:
        return "it was stopped early"
    return schedules.unfinished(curve.run.config, curve.last.step)


def _cell(contender: Contender, losses: Mapping[int, float]) -> Cell:
    counted = [curve.last for curve in contender.finals if curve.run.stopped_early is None]
    size = counted[0].row.get(SIZE)
    return Cell(
        contender.name,
        float(size) if isinstance(size, (int, float)) else math.nan,
        float(np.mean([point.tokens for point in counted])),
        float(np.mean([point.flops for point in counted])),
        losses,
    )


def _alike(first: Cell, second: Cell) -> bool:
    key = "flops" if math.isnan(first.size) and math.isnan(second.size) else "size"
    same = close(getattr(first, key), getattr(second, key))
    return same and close(first.tokens, second.tokens)


def close(first: float, second: float) -> bool:
    """Returns whether two numbers are equal within CLOSE; nan is close to nothing."""
    return first > 0 and second > 0 and 1 / CLOSE <= first / second <= CLOSE


def runs_of(cells: Sequence[Cell]) -> Runs:
    """Returns the runs of cells as arrays."""
    rows = [(place, seed) for place, cell in enumerate(cells) for seed in cell.losses]

    def of(key: str) -> np.ndarray:
        return np.array([getattr(cells[place], key) for place, _ in rows])

    return Runs(
        cells,
        [place for place, _ in rows],
        [seed if seed >= 0 else None for _, seed in rows],
        np.array([cells[place].losses[seed] for place, seed in rows]),
        of("size"),
        of("tokens"),
        of("flops"),
    )
