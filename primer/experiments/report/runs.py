"""One run of a report: its place among the others, its evaluated checkpoints and their costs."""

import dataclasses
import datetime
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from primer.checkpoints import model_directory
from primer.checkpoints.description import trained_tokens
from primer.common import files
from primer.evaluation import results
from primer.experiments.report import settings
from primer.experiments.sweeps import run_record

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
    settings: Mapping[str, Any] | None = None
    axes: Sequence[str] = ()


def read(model_dir: str) -> Run:
    """Returns the run of a model directory.

    Raises:
        UsageError: one of its files is damaged.
    """
    record, config = run_record.read(model_dir), settings.read(model_dir)
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
        record.get("settings") if record else None,
        tuple(record.get("values", ())) if record else (),
    )


def _name(record: Mapping[str, Any] | None) -> str:
    """Returns the name of a sweep's run without its seed: "architecture=primer"."""
    if record is None:
        return ""
    parts = [part for part in str(record.get("run")).split(",") if not part.startswith("seed=")]
    return ",".join(parts) or str(record.get("sweep", {}).get("name", "run"))


def _seed(record: Mapping[str, Any] | None, config: Mapping[str, str] | None) -> int | None:
    recorded = record.get("settings", {}).get("seed") if record else None
    return recorded if isinstance(recorded, int) else settings.seed(config)


def _evaluations(model_dir: str) -> list[list[Row]]:
    """Returns the rows of each text, protocol and configuration, the latest of each step.

    Of several configurations of one text and protocol, as after a change of the library, the last
    one counts.
    """
    folder = os.path.join(model_dir, results.FOLDER)
    found = []
    for path in files.matching_files(folder, r"[^.].*\.jsonl"):
        name = os.path.basename(path).removesuffix(".jsonl")
        kept = results.Results(model_dir, name)
        rows = [row for row in kept.rows if all(key in row for key in _NEEDED)]
        # Rows of other activations, or of other settings than in training, are of another function.
        last = {(row.get("activation_dtype"), row.get("not_as_trained")): row for row in rows}
        for row in last.values():
            found.append(kept.rows_with({key: row.get(key) for key in results.SETTINGS}))
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
        _seconds(os.path.join(model_dir, f"model.ckpt-{step}.index"), starts),
    )


def _seconds(checkpoint: str, starts: Sequence[Mapping[str, Any]]) -> float:
    """Returns the seconds of a sweep's run until a checkpoint was written.

    The building of the graph, and steps that are repeated after a kill, are among them. A copy of a
    checkpoint has a time outside the run's starts, or none: nan.
    """
    try:
        written = os.path.getmtime(checkpoint)
        began = [_timestamp(start["began"]) for start in starts]
        before = 0.0
        for start, first, following in zip(starts, began, [*began[1:], math.inf]):
            # A kill records no end; how long that start went on is not known.
            end = _timestamp(start["ended"]) if "ended" in start else math.nan
            if first <= written <= (following if math.isnan(end) else end + 1):
                return before + written - first
            before += end - first
    except (OSError, KeyError, ValueError, TypeError):
        pass
    return math.nan


def _timestamp(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()  # Whole seconds.
