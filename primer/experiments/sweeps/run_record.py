"""What a run's directory says of the run: its record `run.json`, its lock, its checkpoint.

A process that trains a run holds the operating system's lock of `run.lock`, and hands it on to the
engine. The lock ends with the last of the two: a run whose lock is free is trained by nobody.
"""

import contextlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from primer.errors import UsageError
from primer.experiments.sweeps.expansion import SweepRun

RECORD, LOG, LOCK = "run.json", "log.txt", "run.lock"
WAITING, RUNNING, STOPPED, DONE, FAILED = "waiting", "running", "stopped", "done", "failed"
STATES = (WAITING, RUNNING, STOPPED, DONE, FAILED)

_LATEST = re.compile(r'^model_checkpoint_path: "(?:.*/)?model\.ckpt-(\d+)"', re.MULTILINE)
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
    path = os.path.join(model_dir, RECORD)
    unfinished = os.path.join(model_dir, f".{RECORD}.unfinished")
    try:
        with open(unfinished, "w", encoding="utf-8") as out:
            json.dump(record, out, indent=2, ensure_ascii=False, default=str)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(unfinished)
        raise


def state_of(run: SweepRun) -> str:
    """Returns the state of a run, one of STATES, from its directory alone."""
    if is_locked(run.model_dir):  # First: a run may end, and record its outcome, in between.
        return RUNNING
    return recorded_state(run, read(run.model_dir))


def recorded_state(run: SweepRun, record: Mapping[str, Any] | None) -> str:
    """Returns the state of a run that nobody trains.

    One that has begun and has no outcome was stopped with the process that trained it. One that is
    done with other steps is to go on.
    """
    if not record or not record["starts"]:
        return WAITING
    outcome = record["starts"][-1].get("outcome", STOPPED)
    if outcome == DONE and record["settings"].get(_MAY_CHANGE) != run.settings.get(_MAY_CHANGE):
        return STOPPED
    return outcome


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
    before, now = record.get("settings", {}), json.loads(json.dumps(dict(run.settings)))
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


def stopped_early(model_dir: str) -> bool:
    """Returns whether training ended by `early_stop`, as the engine's record says."""
    try:
        with open(os.path.join(model_dir, "primer.json"), encoding="utf-8") as file:
            return json.load(file).get("stopped_early") is not None
    except (OSError, ValueError, AttributeError):
        return False


def lock(model_dir: str) -> int | None:
    """Returns a file descriptor that holds the lock of a directory; None if another one holds it.

    Closing it, here and in the processes that inherited it, releases the lock. Raises OSError.
    """
    import fcntl  # Not at the top: some systems that Python runs on do not have it.

    os.makedirs(model_dir, exist_ok=True)
    return _locked(model_dir, fcntl.LOCK_EX)


def is_locked(model_dir: str) -> bool:
    """Returns whether a process trains in a directory."""
    import fcntl

    if not os.path.exists(os.path.join(model_dir, LOCK)):
        return False
    number = _locked(model_dir, fcntl.LOCK_SH)  # Shared: commands that ask do not disturb others.
    if number is None:
        return True
    os.close(number)
    return False


def _locked(model_dir: str, operation: int) -> int | None:
    import fcntl

    number = os.open(os.path.join(model_dir, LOCK), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(number, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        return None
    except BaseException:
        os.close(number)
        raise
    return number
