"""The rows of a sweep's table of results: one for each run, evaluated checkpoint and evaluation."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from primer.checkpoints.description import trained_tokens
from primer.common import checks
from primer.errors import UsageError
from primer.evaluation import report
from primer.evaluation.stored.result_lines import Row
from primer.experiments.sweeps import run_record
from primer.experiments.sweeps.evaluations import losses, wall_time
from primer.experiments.sweeps.expansion import SweepRun

TEXT, WHOLE, NUMBER, BOOLEAN = "text", "whole", "number", "boolean"
# Column -> kind, in order; the columns of the axes are between the first and the second part.
RUN_COLUMNS = {"run": TEXT, "index": WHOLE}
COLUMNS = {
    "seed": WHOLE,
    "state": TEXT,
    "hopeless_step": WHOLE,
    "step": WHOLE,
    "tokens": WHOLE,
    "flops": NUMBER,  # May exceed 64-bit integers.
    "seconds": NUMBER,
    **dict.fromkeys(("task", "split", "protocol"), TEXT),
    "window": WHOLE,
    "activation_dtype": TEXT,
    "nats_per_token": NUMBER,
    "bits_per_byte": NUMBER,
    "perplexity_per_token": NUMBER,
    "perplexity_per_word": NUMBER,
    **{f"evaluated_{name}": WHOLE for name in report.COUNTS},
    **dict.fromkeys(("text_checksum", "data_checksum", "not_as_trained", "how"), TEXT),
    "parameters": WHOLE,
    "evaluated_by_primer": TEXT,
    "git_commit": TEXT,
    "git_changes": BOOLEAN,
    "host": TEXT,
    **{
        f"version_{name}": TEXT
        for name in ("python", "primer", "tensorflow", "mesh_tensorflow", "t5", "numpy")
    },
    "model_dir": TEXT,
}
_OF_ROW = (
    *("step", "task", "split", "protocol", "window", "nats_per_token", "bits_per_byte"),
    *("perplexity_per_token", "perplexity_per_word", "text_checksum", "not_as_trained", "how"),
    "parameters",
)


def axis_columns(runs: Sequence[SweepRun]) -> dict[str, str]:
    """Returns {key of an axis: its column}: the key without "gin.", "axis_KEY" where that is taken.

    Names that runs have besides the keys (labels of several settings together) are among the keys.
    The seed has a column in any case.
    """
    keys = dict.fromkeys(key for run in runs for key in run.values)
    ends = {end for key in keys for end in _ends(key)}
    names = dict.fromkeys(name for run in runs for name in _labels(run) if name not in ends)
    taken, found = {*RUN_COLUMNS, *COLUMNS}, {}
    for key in [*names, *keys]:
        if key == "seed":
            continue
        name = re.sub(r"\W", "_", key.removeprefix("gin."))
        while name in taken:
            name = f"axis_{name}"
        taken.add(name)
        found[key] = name
    return found


def _labels(run: SweepRun) -> dict[str, str]:
    """Returns {name: label} of what the name of a run has."""
    parts = (part.partition("=") for part in run.name.split(","))
    return {name: label for name, is_pair, label in parts if is_pair}


def _ends(key: str) -> tuple[str, str]:
    """Returns what a key is called in the name of a run."""
    return re.split(r"[./]", key)[-1], key.replace("/", "-")


def columns(runs: Sequence[SweepRun]) -> dict[str, str]:
    """Returns {column: kind} of a sweep's table."""
    axes = {
        column: _kind([run.values[key] for run in runs if key in run.values])
        for key, column in axis_columns(runs).items()
    }
    return {**RUN_COLUMNS, **axes, **COLUMNS}


def _kind(values: Sequence[Any]) -> str:
    if not values:  # A name of several settings together.
        return TEXT
    if all(isinstance(value, bool) for value in values):
        return BOOLEAN
    if not all(checks.is_number(value) for value in values):
        return TEXT
    return WHOLE if all(isinstance(value, int) for value in values) else NUMBER


def rows(runs: Sequence[SweepRun]) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the rows, {column: value}, and what could not be read of some runs.

    What is not known is None, or nan.
    """
    kinds, axes = columns(runs), axis_columns(runs)
    found, problems = [], []
    for run in runs:
        measured = losses.read(run.model_dir)
        if not measured:
            continue
        try:
            record, state = run_record.read(run.model_dir), run_record.state_of(run)
        except UsageError as error:
            problems.append(str(error))
            record, state = None, ""
        shared = {**_of_run(run, record, state), **_of_axes(run, axes, kinds)}
        trained = run_record.engine_file(run.model_dir, run_record.ENGINE_RECORD)
        starts = record["starts"] if record else []
        for kept in measured:
            found += [{**shared, **_of_row(run, row, trained, starts)} for row in kept]
    return found, problems


def _of_run(run: SweepRun, record: Mapping[str, Any] | None, state: str) -> dict[str, Any]:
    start = record["starts"][-1] if record and record["starts"] else {}
    verdict = run_record.hopeless(record) if state == run_record.HOPELESS else None
    git, versions = start.get("git") or {}, start.get("versions") or {}
    return {
        "run": run.name,
        "index": run.index,
        "seed": run.settings.get("seed"),
        "state": state,
        "hopeless_step": verdict["step"] if verdict else None,
        "data_checksum": run_record.data_checksum(run.model_dir),
        "git_commit": git.get("commit"),
        "git_changes": git.get("changes"),
        "host": start.get("host"),
        **{f"version_{k.replace('-', '_')}": versions.get(k) for k in versions},
        "model_dir": run.model_dir,
    }


def _of_row(
    run: SweepRun, row: Row, trained: Mapping[str, Any], starts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    step = row["step"]
    flops = row.get("training_flops") or trained_tokens.flops_up_to(trained, step)
    index = run_record.checkpoint_index(run.model_dir, step)
    seconds = wall_time.seconds_until(index, starts)
    return {
        **{key: row.get(key) for key in _OF_ROW},
        "tokens": trained_tokens.up_to(trained, step),
        "flops": None if flops is None else float(flops),
        "seconds": None if math.isnan(seconds) else seconds,
        "activation_dtype": report.activation_dtype(row),
        "evaluated_by_primer": row.get("primer"),
        **{f"evaluated_{name}": row.get(name) for name in report.COUNTS},
    }


def _of_axes(run: SweepRun, axes: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Returns the values of a run's axes: numbers, and of others their labels in its name."""
    labels, found = _labels(run), {}
    for key, column in axes.items():
        value = run.values.get(key)
        if kinds[column] == TEXT:
            shown = (labels[name] for name in (key, *_ends(key)) if name in labels)
            value = next(shown, None if value is None else str(value))
        found[column] = value
    return found
