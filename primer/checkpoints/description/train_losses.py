"""The losses of training in a model directory: `train_losses.csv`, a line for each step.

    step,loss,gradient_norm
    1,8.99412,1.53
    2,8.71038,1.49

The loss is that of the progress line, in nats per position; the gradient's norm is before clipping,
and empty for optimizers that do not compute it. Lines are written as training goes on. A session
that resumes at a step drops the lines behind it first, so that no step is there twice. A kill loses
the lines of the last seconds; those up to a checkpoint are written before it.
"""

import dataclasses
import math
import os
import time
from types import TracebackType

import numpy as np

from primer.common import console, files, user_paths

NAME = "train_losses.csv"
_HEAD = "step,loss,gradient_norm"
# Between two writes. In object stores each write is one of the whole file.
_SECONDS = 10.0
_SECONDS_REMOTE = 300.0


@dataclasses.dataclass(frozen=True)
class TrainLosses:
    """The recorded steps of a run.

    Attributes:
        steps: `[n]`, increasing.
        losses: `[n]`, in nats per position.
        gradient_norms: `[n]`, nan where not recorded.
    """

    steps: np.ndarray
    losses: np.ndarray
    gradient_norms: np.ndarray


def read(model_dir: str) -> TrainLosses | None:
    """Returns the losses of a model directory, or None; lines that a kill has cut are left out."""
    lines = _lines(os.path.join(model_dir, NAME))
    rows = {row[0]: row for row in map(_row, lines) if row}
    if not rows:
        return None
    table = np.array([rows[step] for step in sorted(rows)])
    return TrainLosses(table[:, 0].astype(int), table[:, 1], table[:, 2])


def _lines(path: str) -> list[str]:
    """Returns the whole lines of a file, without its head; [] where it cannot be read."""
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read().decode(errors="replace").split("\n")[1:-1]
    except files.ERRORS:
        return []


def _row(line: str) -> tuple[float, float, float] | None:
    parts = line.split(",")
    try:
        return int(parts[0]), float(parts[1]), float(parts[2]) if parts[2] else math.nan
    except (ValueError, IndexError):
        return None


class Recorder:
    """Writes the losses of a session of training.

    Args:
        model_dir: the directory; it exists.
        start: the step that the session begins at.
    """

    def __init__(self, model_dir: str, start: int) -> None:
        self._path = os.path.join(model_dir, NAME)
        self._is_remote = user_paths.is_remote(model_dir)
        self._seconds = _SECONDS_REMOTE if self._is_remote else _SECONDS
        self._waiting: list[str] = []
        self._written = time.monotonic()
        kept = [line for line in _lines(self._path) if (row := _row(line)) and row[0] <= start]
        # Of a remote file: all that it has.
        self._whole = [_HEAD, *kept]
        self._failed = False
        self._attempt(self._write_whole)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()

    def add(self, step: int, loss: float, gradient_norm: float | None = None) -> None:
        """Adds a step that has ended."""
        norm = "" if gradient_norm is None else f"{float(gradient_norm):.6g}"
        self._waiting.append(f"{step},{loss:.6g},{norm}")
        if time.monotonic() - self._written >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Writes what was added; what cannot be written is said once, and training goes on."""
        if self._waiting:
            self._attempt(self._append)
        self._written = time.monotonic()

    def _attempt(self, write):
        if self._failed:
            return
        try:
            write()
        except files.ERRORS as error:
            self._failed = True
            console.say(f"{self._path} cannot be written ({files.first_line(error)})")

    def _append(self):
        if self._is_remote:
            self._whole += self._waiting
            self._write_whole()
        else:
            with open(self._path, "a", encoding="utf-8") as out:
                out.write("".join(f"{line}\n" for line in self._waiting))
        self._waiting = []

    def _write_whole(self):
        files.write_whole(self._path, "".join(f"{line}\n" for line in self._whole))
