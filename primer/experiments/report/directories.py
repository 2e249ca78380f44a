"""The model directories of a report: named one by one, by their folder, or by a sweep."""

import os
from collections.abc import Sequence

from primer.checkpoints import saved_config
from primer.errors import UsageError
from primer.experiments.sweeps import expansion, run_record, sweep_file

_SWEEP_FILES = (".yaml", ".yml")
_MARKS = (run_record.RECORD, *saved_config.CONFIGS, "eval", "checkpoint")


def find(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the model directories of paths, in order and once each.

    Args:
        paths: model directories; folders of them, as a sweep's output; or YAML files of sweeps.

    Returns:
        The directories that are named themselves, and all of them. Of a sweep's file those that do
        not exist yet are among them.

    Raises:
        UsageError: a path does not exist, is no sweep, or has no model directory in it.
    """
    named = [path for path in paths if not path.endswith(_SWEEP_FILES) and _is_model(path)]
    found: dict[str, str] = {}
    for path in paths:
        for directory in _directories(path):
            found.setdefault(os.path.realpath(directory), directory)
    return named, list(found.values())


def _is_model(path: str) -> bool:
    return any(os.path.exists(os.path.join(path, name)) for name in _MARKS)


def _directories(path: str) -> list[str]:
    if path.endswith(_SWEEP_FILES):
        return [run.model_dir for run in expansion.expand(sweep_file.read(path))]
    if _is_model(path):
        return [path]
    if not os.path.isdir(path):
        raise UsageError(
            f"{path}: there is no such directory; expected the directory of a run, the folder of a "
            "sweep, or the sweep's YAML file"
        )
    names = (os.path.join(path, name) for name in sorted(os.listdir(path)))
    found = [name for name in names if os.path.isdir(name) and _is_model(name)]
    if not found:
        raise UsageError(
            f"{path} is no model directory and has none in it; name the directory of a run, the "
            "folder of a sweep, or the sweep's YAML file"
        )
    return sorted(found, key=_began)


def _began(model_dir: str) -> str:
    """Returns when a sweep's run began; sorted by it, runs are about in the sweep's order."""
    record = run_record.read(model_dir)
    return str(record["starts"][0].get("began", "")) if record and record["starts"] else ""
