"""One run of a report: its place among the others, its evaluated checkpoints and their costs."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from primer.checkpoints import model_directory
from primer.checkpoints.description import trained_tokens
from primer.common import files
from primer.evaluation import results
from primer.evaluation.stored import result_lines
from primer.experiments.report import settings
from primer.experiments.sweeps import expansion, run_record
from primer.experiments.sweeps.evaluations import wall_time

Row = dict[str, Any]
_NEEDED = ("step", "nats_per_token", "protocol", "text_checksum", "how")


@dataclasses.dataclass(frozen=True)
class Point:
    """An evaluated checkpoint and what training up to it has cost.

    Attributes:
        step: the step of training.
        row: its result, as `primer eval` has written it.
        tokens: the tokens that were trained on, padding included; nan where not recorded.
        flops: of the training, by the convention of docs/costs.md; nan where not recorded.
        seconds: since the run began, without the time between its starts; nan where not known.
    """

    step: int
    row: Row
    tokens: float
    flops: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Run:
    """A model directory.

    Attributes:
        model_dir: the directory.
        name: of a run of a sweep, its name there without the seed; else "".
        sweep: the name of its sweep, or "".
        seed: the seed of data order, initial values and dropout; None where it has none.
        config: its settings (`settings.read`), or None.
        evaluations: the points of each text and protocol that were evaluated, sorted by step.
        state: of a sweep's run, one of `run_record.STATES`; else "".
        stopped_early: the step at which `early_stop` ended it, or None.
        hopeless: the step at which its sweep stopped it as hopeless, or None.
        settings: of a sweep's run, its settings there; else None.
        axes: of a sweep's run, the settings that its axes have set.
    """

    model_dir: str
    name: str
    sweep: str
    seed: int | None
    config: Mapping[str, str] | None
    evaluations: Sequence[Sequence[Point]]
    state: str = ""
    stopped_early: int | None = None
    hopeless: int | None = None
    settings: Mapping[str, Any] | None = None
    axes: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Curve:
    """The evaluated checkpoints of a run in one section.

    Attributes:
        run: the run.
        points: sorted by step.
    """

    run: Run
    points: Sequence[Point]

    @property
    def last(self) -> Point:
        """The last evaluated checkpoint."""
        return self.points[-1]

    @property
    def trained(self) -> dict[int, Point]:
        """{step: point} without the untrained model."""
        return {point.step: point for point in self.points if point.step}


def common_points(curves: Sequence[Curve]) -> list[list[Point]]:
    """Returns the points of each curve at the steps that all of them have, sorted by step."""
    trained = [curve.trained for curve in curves]
    steps = sorted(set.intersection(*map(set, trained)))
    return [[own[step] for step in steps] for own in trained]


def read(model_dir: str) -> Run:
    """Returns the run of a model directory.

    Raises:
        UsageError: one of its files is damaged.
    """
    record, config = run_record.read(model_dir), settings.read(model_dir)
    verdict = run_record.hopeless(record)
    trained = model_directory.read_record(model_dir)
    starts = record["starts"] if record else []
    found = []
    for rows in _evaluations(model_dir):
        found.append([_point(model_dir, row, trained, starts) for row in rows])
    return Run(
        model_dir,
        _name(record),
        str(record.get("sweep", {}).get("name", "")) if record else "",
        _seed(record, config),
        config,
        found,
        str(starts[-1].get("outcome", run_record.STOPPED)) if starts else "",
        (trained or {}).get(model_directory.STOPPED_EARLY),
        None if verdict is None else verdict["step"],
        record.get("settings") if record else None,
        tuple(record.get("values", ())) if record else (),
    )


def _name(record: Mapping[str, Any] | None) -> str:
    """Returns the name of a sweep's run without its seed: "architecture=primer"."""
    if record is None:
        return ""
    found = expansion.without_seed(str(record.get("run")))
    return found or str(record.get("sweep", {}).get("name", "run"))


def _seed(record: Mapping[str, Any] | None, config: Mapping[str, str] | None) -> int | None:
    recorded = record.get("settings", {}).get("seed") if record else None
    return recorded if isinstance(recorded, int) else settings.seed(config)


def _evaluations(model_dir: str) -> list[list[Row]]:
    """Returns the rows of each text, protocol and function, the latest of each step."""
    folder = os.path.join(model_dir, results.FOLDER)
    found = []
    for path in files.matching_files(folder, r"[^.].*\.jsonl"):
        name = os.path.basename(path).removesuffix(".jsonl")
        kept = results.Results(model_dir, name)
        rows = [row for row in kept.rows if all(key in row for key in _NEEDED)]
        found += result_lines.that_count(rows)
    return found


def _point(
    model_dir: str, row: Row, trained: Mapping[str, Any] | None, starts: Sequence[Mapping]
) -> Point:
    step = row["step"]
    tokens = trained_tokens.up_to(trained, step)
    flops = row.get("training_flops") or trained_tokens.flops_up_to(trained, step)
    return Point(
        step,
        row,
        math.nan if tokens is None else tokens,
        math.nan if flops is None else flops,
        wall_time.seconds_until(os.path.join(model_dir, f"model.ckpt-{step}.index"), starts),
    )
