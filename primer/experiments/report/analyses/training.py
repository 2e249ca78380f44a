"""The losses of training, as each run's `train_losses.csv` has them: curves and spikes."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from primer.checkpoints.description import train_losses
from primer.checkpoints.description.train_losses import TrainLosses
from primer.experiments.fits import spikes
from primer.experiments.report import figures
from primer.experiments.report.analyses import part
from primer.experiments.report.analyses.part import Part, Table
from primer.experiments.report.sections import Contender, Section

HEADS = {
    "group": "group",
    "runs": "runs",
    "steps": "steps",
    "last": "mean loss of the last tenth",
    "scored": "scored steps",
    "score": "spike score",
    "most": "of a run at most",
    "norm_score": "of the gradient norm",
}
_DEFINITION = (
    "Losses of training: of each step, in nats per position with all its auxiliary losses, on its "
    "own batch: not those of the final table. Spike score: the share of steps whose loss is at "
    f"least {spikes.DEVIATIONS:g} standard deviations from the mean of the {spikes.WINDOW:,} steps "
    f"before it (OLMo 2), of the steps with {spikes.WINDOW // 2} or more before them; the mean "
    "over runs. The figure has means over windows of a hundredth of the steps, over all "
    "runs of a group."
)
_WINDOWS = 100


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The losses of training of one contender's runs.

    Attributes:
        name: that of the contender.
        runs: (seed, losses) of each run that has recorded them.
    """

    name: str
    runs: Sequence[tuple[int | None, TrainLosses]]


def parts(section: Section) -> list[Part]:
    """Returns the part on training; [] where no run of a section has recorded its losses."""
    found = [one for one in map(_recorded, section.contenders) if one.runs]
    if not found:
        return []
    rows = [row for one in found for row in _rows(one)]
    texts = [_texts([row for row in rows if row["group"] == one.name]) for one in found]
    sentences = []
    if not any(row["scored"] for row in rows):
        sentences.append(
            f"No spike score: it needs runs of more than {spikes.WINDOW // 2} recorded steps."
        )
    caption = "Losses of training against steps"
    return [
        Part(
            "training",
            "Losses of training",
            [Table(HEADS, texts)],
            sentences,
            {"training_losses": (caption, _figure(section, found))},
            {"training": rows, "training_losses": [r for one in found for r in _curve_rows(one)]},
            [_DEFINITION],
        )
    ]


def _recorded(contender: Contender) -> Recorded:
    runs = [curve.run for curve in contender.curves]
    found = [(run.seed, train_losses.read(run.model_dir)) for run in runs]
    return Recorded(contender.name, [(seed, losses) for seed, losses in found if losses])


def _rows(found: Recorded) -> list[dict[str, Any]]:
    return [_row(found.name, seed, losses) for seed, losses in found.runs]


def _row(name: str, seed: int | None, losses: TrainLosses) -> dict[str, Any]:
    of_losses = spikes.score(losses.losses)
    known = np.isfinite(losses.gradient_norms).any()
    of_norms = spikes.score(losses.gradient_norms) if known else spikes.SpikeScore(0, 0)
    return {
        "group": name,
        "seed": seed,
        "steps": int(losses.steps[-1]),
        "recorded": len(losses.steps),
        "last": float(np.mean(losses.losses[-max(1, len(losses.losses) // 10) :])),
        "scored": of_losses.scored,
        "spikes": of_losses.spikes,
        "score": of_losses.share,
        "norm_scored": of_norms.scored,
        "norm_spikes": of_norms.spikes,
        "norm_score": of_norms.share,
    }


def _texts(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    def known(key: str) -> list[float]:
        return [row[key] for row in rows if math.isfinite(row[key])]

    def mean(key: str, template: str) -> str:
        return part.number(statistics.fmean(known(key)) if known(key) else math.nan, template)

    return {
        "group": rows[0]["group"],
        "runs": str(len(rows)),
        "steps": f"{max(row['steps'] for row in rows):,}",
        "last": mean("last", "{:.4f}"),
        "scored": f"{sum(row['scored'] for row in rows):,}",
        "score": mean("score", "{:.3%}"),
        "most": part.number(max(known("score"), default=math.nan), "{:.3%}"),
        "norm_score": mean("norm_score", "{:.3%}"),
    }


def _curve(found: Recorded) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and losses: means over windows of steps, and over runs."""
    steps = np.concatenate([losses.steps for _, losses in found.runs])
    values = np.concatenate([losses.losses for _, losses in found.runs])
    width = max(1, -(-int(steps.max()) // _WINDOWS))
    windows = (steps - 1) // width
    counts = np.bincount(windows)
    there = counts > 0
    sums = [np.bincount(windows, column)[there] / counts[there] for column in (steps, values)]
    return sums[0], sums[1]


def _curve_rows(found: Recorded) -> list[dict[str, Any]]:
    return [
        {"group": found.name, "step": float(step), "loss": float(loss)}
        for step, loss in zip(*_curve(found))
    ]


def _figure(section: Section, found: Sequence[Recorded]) -> bytes:
    places = {contender.name: place for place, contender in enumerate(section.contenders)}

    def draw(panel: Any) -> None:
        from matplotlib import ticker

        for one in found:
            drawn = figures.style(places[one.name]) | {"markevery": 0.1, "markersize": 4}
            panel.plot(*_curve(one), label=one.name, linewidth=1.2, **drawn)
        panel.set_yscale("log")
        figures.plain_numbers(panel.yaxis)
        panel.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
        panel.set_xlabel("training steps")
        panel.set_ylabel("training loss, nats per position")
        panel.grid(alpha=0.3, which="both", linewidth=0.5)

    return figures.drawn(draw, 3.3 + 0.17 * len(found), legend=True)
