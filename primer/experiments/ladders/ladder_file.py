"""The file of a ladder: a plain sweep, whose axes are the sizes, the changes and the seeds."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from primer.errors import RunError, UsageError
from primer.experiments.ladders import rules
from primer.experiments.ladders.changes import BASE
from primer.experiments.ladders.rungs import Request, Rung, evaluate_every
from primer.experiments.sweeps import expansion, sweep_file

NAME, RUNS = "ladder.yaml", "runs"
TUNING, TUNING_RUNS = "tuning.yaml", "tuning"
_ROWS = "gin.utils.run.batch_size"


def of_ladder(request: Request, rungs: Sequence[Rung], name: str, command: str) -> str:
    """Returns the text of the sweep's file.

    Args:
        request: the ladder.
        rungs: its rungs.
        name: of the sweep.
        command: the words that asked for it, for a comment.
    """
    columns = _columns(request, rungs)
    shared, varied = _divided(columns)
    axes = [*_size_axes(request, rungs, varied), f"- seed: {_flow(list(request.seeds))}"]
    return _text(request, name, RUNS, {**request.settings, **shared}, axes, command)


def of_tuning(request: Request, rungs: Sequence[Rung], rates: Sequence[float], name: str) -> str:
    """Returns the text of the file that tries learning rates at the smallest size.

    Its seed is none of the ladder's, so that no seed of the ladder was chosen for a low loss.
    """
    first = rungs[0]
    own = {"gin.depth": first.size.depth, **_settings(request, first)}
    axes = [
        _change_axis(request),
        f"- learning_rate: {_flow(list(rates))}",
        # Not the largest and one more: seeds may be added to a ladder.
        f"- seed: [{0 if 0 not in request.seeds else max(request.seeds) + 1}]",
    ]
    return _text(request, f"{name}_tuning", TUNING_RUNS, {**request.settings, **own}, axes, "")


def _text(
    request: Request,
    name: str,
    output: str,
    settings: Mapping[str, Any],
    axes: Sequence[str],
    command: str,
) -> str:
    comments = [
        *(["The runs of: " + " ".join(command.splitlines())] if command else []),
        f"Rule {rules.RULES[request.rule].sentence}.",
        f"{request.tokens_per_parameter:g} tokens for each of N, the parameters of the layers and "
        "of the output of the model without a change.",
    ]
    lines = [*(f"# {line}" for line in comments), f"name: {_flow(name)}", f"output: {output}"]
    lines += ["run:", *(f"  {key}: {_flow(value)}" for key, value in settings.items())]
    lines += ["axes:", *(f"  {line}" for axis in axes for line in axis.splitlines())]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """Returns a value in YAML: JSON is a part of it, in which texts are quoted."""
    return json.dumps(value, ensure_ascii=False)


def _settings(request: Request, rung: Rung) -> dict[str, Any]:
    """Returns the settings of a rung, but its depth and its rate."""
    return {
        _ROWS: rung.rows,
        "steps": rung.steps,
        "eval_every": evaluate_every(request, rung),
        **rung.settings,
    }


def _columns(request: Request, rungs: Sequence[Rung]) -> dict[str, list[Any]]:
    """Returns {key: its value at each rung}."""
    rows = [{"gin.depth": rung.size.depth, **_settings(request, rung)} for rung in rungs]
    if not _differ_by_change(rungs):
        rows = [{**row, "learning_rate": r.learning_rates[BASE]} for row, r in zip(rows, rungs)]
    return {key: [row[key] for row in rows] for key in rows[0]}


def _divided(columns: Mapping[str, list[Any]]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Returns the settings that are the same at all rungs, and the others with the depth."""
    varied = {
        key: values
        for key, values in columns.items()
        if key == "gin.depth" or any(value != values[0] for value in values)
    }
    return {key: v[0] for key, v in columns.items() if key not in varied}, varied


def _differ_by_change(rungs: Sequence[Rung]) -> bool:
    return any(len(set(rung.learning_rates.values())) > 1 for rung in rungs)


def _size_axes(
    request: Request, rungs: Sequence[Rung], varied: Mapping[str, list[Any]]
) -> list[str]:
    """Returns the axes of sizes and of changes; one of both where rates differ by change."""
    sizes = [rung.size.label for rung in rungs]
    if not _differ_by_change(rungs):
        return [_zipped(varied, {"size": sizes}), _change_axis(request)]
    labels = [change.label for change in request.changes]
    repeated = {key: [v for v in values for _ in labels] for key, values in varied.items()}
    repeated["learning_rate"] = [rung.learning_rates[label] for rung in rungs for label in labels]
    repeated["gin_param"] = [list(change.lines) for _ in rungs for change in request.changes]
    names = {"size": [size for size in sizes for _ in labels], "change": labels * len(rungs)}
    return [_zipped(repeated, names)]


def _zipped(columns: Mapping[str, list[Any]], labels: Mapping[str, list[str]]) -> str:
    inner = "\n".join(f"    {key}: {_flow(values)}" for key, values in columns.items())
    return f"- zip:\n{inner}\n  label: {_flow(labels)}"


def _change_axis(request: Request) -> str:
    lines = [list(change.lines) for change in request.changes]
    labels = [change.label for change in request.changes]
    return f"- gin_param: {_flow(lines)}\n  label: {_flow({'change': labels})}"


def write(path: str, text: str) -> None:
    """Writes a file, in place of one of the same runs or of some of them.

    Raises:
        UsageError: there is a file of other runs, or it cannot be read.
        RunError: the file cannot be written.
    """
    unfinished = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.unfinished")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(unfinished, "w", encoding="utf-8") as out:
            out.write(text)
        try:
            if os.path.exists(path):
                _check_same(path, unfinished)
            os.replace(unfinished, path)
        finally:
            if os.path.exists(unfinished):
                os.remove(unfinished)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from error


def _check_same(path: str, new: str) -> None:
    """Refuses a file with runs that the new one has not, or has with other settings."""
    before, now = (
        {run.name: run.settings for run in expansion.expand(sweep_file.read(name))}
        for name in (path, new)
    )
    for name, settings in before.items():
        if name not in now:
            raise UsageError(
                f"{path} is another ladder, with the run {name}: name another --output; sizes, "
                "changes and seeds may be added to a ladder"
            )
        for key in sorted({*settings, *now[name]}):
            if settings.get(key) != now[name].get(key):
                raise UsageError(
                    f"{path} is another ladder: {name} has {key} = {settings.get(key)!r} there, "
                    f"and {now[name].get(key)!r} here; name another --output"
                )
