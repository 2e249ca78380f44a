"""What a run's directory says of the run: its record `run.json`, its lock, its checkpoint.

A run whose lock is free is trained by nobody.
"""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from primer.errors import UsageError
from primer.experiments.sweeps import locks, whole_files
from primer.experiments.sweeps.expansion import SweepRun

RECORD, LOG = "run.json", "log.txt"
WAITING, RUNNING, STOPPED, DONE, FAILED = "waiting", "running", "stopped", "done", "failed"
HOPELESS = "hopeless"
STATES = (WAITING, RUNNING, STOPPED, DONE, FAILED, HOPELESS)
# A command leaves runs in these states as they are.
ENDED = (DONE, HOPELESS)
# Files of the engine: its record of the model, and that of the texts.
ENGINE_RECORD, TEXTS = "primer.json", "texts.json"

_LATEST = re.compile(r'^model_checkpoint_path: "(?:.*/)?model\.ckpt-(\d+)"', re.MULTILINE)
_INDEX = re.compile(r"model\.ckpt-(\d+)\.index")
# The setting that a later command may change: the run goes on, or is long enough.
_MAY_CHANGE = "steps"


def read(model_dir: str) -> dict[str, Any] | None:
    """Returns the record of a directory, or None.

    Raises:
        UsageError: it is damaged.
    """
    path = os.path.join(model_dir, RECORD)
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        if isinstance(record, dict) and isinstance(record.get("starts"), list):
            return record
        problem: object = "it lists no starts"
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problem = error
    raise UsageError(f"{path} cannot be read ({problem}); move its directory away")


def write(model_dir: str, record: Mapping[str, Any]) -> None:
    """Writes the record of a directory, whole or not at all; raises OSError."""
    whole_files.write_json(os.path.join(model_dir, RECORD), record)


def state_of(run: SweepRun) -> str:
    """Returns the state of a run, one of STATES, from its directory alone."""
    if locks.is_held(run.model_dir):  # First: a run may end, and record its outcome, in between.
        return RUNNING
    return recorded_state(run, read(run.model_dir))


def recorded_state(run: SweepRun, record: Mapping[str, Any] | None) -> str:
    """Returns the state of a run that nobody trains.

    One that has begun and has no outcome was stopped with the process that trained it. One that is
    done with other steps is to go on, and so is one that another rule has found hopeless.
    """
    if not record or not record["starts"]:
        return WAITING
    verdict = hopeless(record)
    if verdict is not None:
        outcome = HOPELESS if verdict.get("rule") == _plain(run.rule) else STOPPED
    else:
        outcome = record["starts"][-1].get("outcome", STOPPED)
    is_longer = record["settings"].get(_MAY_CHANGE) != run.settings.get(_MAY_CHANGE)
    return STOPPED if outcome in ENDED and is_longer else outcome


def hopeless(record: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns why a run was stopped early as hopeless; None if its last start was not.

    Args:
        record: the record of its directory, or None.

    Returns:
        The verdict of `evaluations.hopeless`: "step", "loss", "median", "runs", "rule".
    """
    start = record["starts"][-1] if record and record["starts"] else {}
    # A kill of the sweep after the verdict leaves no outcome.
    is_hopeless = start.get("outcome", HOPELESS) == HOPELESS
    return start.get(HOPELESS) if is_hopeless else None


def _plain(data: object) -> Any:
    """Returns data as JSON has them."""
    return json.loads(json.dumps(data))


def check_same_run(run: SweepRun) -> None:
    """Refuses a directory that is not this run's.

    Raises:
        UsageError: it has files and no record, or a record of other settings; `steps` may differ.
    """
    record = read(run.model_dir)
    if record is None:
        if os.path.exists(os.path.join(run.model_dir, "checkpoint")):
            raise UsageError(
                f"{run.model_dir} has checkpoints and no {RECORD}: it is no run of a sweep; name "
                "another output, or move it away"
            )
        return
    before, now = record.get("settings", {}), _plain(dict(run.settings))
    for key in sorted({*before, *now} - {_MAY_CHANGE}):
        if before.get(key) != now.get(key):
            raise UsageError(
                f"{run.model_dir} was begun with {key} = {before.get(key)!r}, and the sweep has "
                f"{now.get(key)!r}: name another output, or delete the directory to train again"
            )


def latest_step(model_dir: str) -> int | None:
    """Returns the step of the checkpoint that the file `checkpoint` names and that is there.

    It reads the file as text, because TensorFlow's import takes seconds.
    """
    try:
        with open(os.path.join(model_dir, "checkpoint"), encoding="utf-8") as file:
            match = _LATEST.search(file.read())
    except (OSError, UnicodeDecodeError):
        return None
    if match and os.path.exists(os.path.join(model_dir, f"model.ckpt-{match[1]}.index")):
        return int(match[1])
    return None


def checkpoint_steps(model_dir: str) -> list[int]:
    """Returns the steps of a directory's complete checkpoints, the kept best one among them.

    A run that trains writes its newest one until the file `checkpoint` names it.
    """
    newest = latest_step(model_dir)
    if newest is None:
        return []
    found: set[int] = set()
    for folder in (model_dir, os.path.join(model_dir, "best")):
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        found |= {int(match[1]) for match in map(_INDEX.fullmatch, names) if match}
    return sorted(step for step in found if step <= newest)


def checkpoint_index(model_dir: str, step: int) -> str:
    """Returns the path of the file that is written last of a checkpoint."""
    name = f"model.ckpt-{step}.index"
    path = os.path.join(model_dir, name)
    return path if os.path.exists(path) else os.path.join(model_dir, "best", name)


def engine_file(model_dir: str, name: str) -> dict[str, Any]:
    """Returns the content of a JSON file that the engine has written; {} if it cannot be read.

    Args:
        model_dir: the directory.
        name: ENGINE_RECORD or TEXTS.
    """
    try:
        with open(os.path.join(model_dir, name), encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def stopped_early(model_dir: str) -> bool:
    """Returns whether training ended by `early_stop`, as the engine's record says."""
    return engine_file(model_dir, ENGINE_RECORD).get("stopped_early") is not None


def data_checksum(model_dir: str) -> str | None:
    """Returns the checksum of all data that a run read, which its `texts.json` has; or None."""
    checksums = engine_file(model_dir, TEXTS).get("checksums")
    return checksums.get("data") if isinstance(checksums, dict) else None
