"""What was found of checkpoints: one line each in `model_dir/eval/<name>.jsonl`, kept for good.

A line is written when its checkpoint is done, so that an evaluation which is ended at any instant
has lost one checkpoint at most. The next one reads the lines and does not score again what it would
find the same: equal weights, text, protocol, window and version of this library.

A line that a kill has cut in half has no end; it is ignored, and removed by the next line. Lines
are never changed: of two for the same, the later counts. The TSV and the events for TensorBoard
are made from the lines, for other programs.
"""

import contextlib
import json
import math
import os

import tensorflow.compat.v1 as tf

from primer.common import console, files
from primer.runtime import session

FOLDER = "eval"
TAG = "primer_eval"
# What a line has to share with an evaluation to belong to it, and which checkpoint it is of.
SETTINGS = ("task", "split", "protocol", "window", "text_checksum", "primer")
CHECKPOINT = ("step", "weights")
ALL = SETTINGS + CHECKPOINT


class Results:
    """The lines of one task, split and protocol in a model directory.

    Args:
        model_dir: local or remote.
        name: of the files, without extension.

    Attributes:
        path, table_path: of the JSON lines and of the TSV.
    """

    def __init__(self, model_dir, name):
        self._directory = os.path.join(model_dir, FOLDER)
        self._name = name
        self.path = os.path.join(self._directory, f"{name}.jsonl")
        self.table_path = os.path.join(self._directory, f"{name}.tsv")
        self._writer = None
        self.rows = _rows(self.path)

    def find(self, settings, step, weights):
        """The row of a checkpoint under the same settings, or None.

        Args:
            settings: a dict with the keys of SETTINGS.
            step: of the checkpoint.
            weights: its fingerprint.
        """
        wanted = {**settings, "step": step, "weights": weights}
        return next((r for r in reversed(self.rows) if _same(r, wanted, ALL)), None)

    def of(self, settings) -> list:
        """The rows with the same settings, the latest of each step, in the order of steps."""
        latest = {row["step"]: row for row in self.rows if _same(row, settings, SETTINGS)}
        return [latest[step] for step in sorted(latest)]

    def add(self, row):
        """Writes a row: the events, the line, and the TSV of all.

        Args:
            row: a dict of numbers and texts with the keys of SETTINGS and CHECKPOINT.
        """
        tf.io.gfile.makedirs(self._directory)
        self._add_events(row)
        _append(self.path, json.dumps(_without_infinity(row)) + "\n")
        self.rows.append(row)
        self._write_table(row)

    def _add_events(self, row):
        """Tags of their own, `primer_eval/<name>/<unit>`, beside those of stock evaluation."""
        if self._writer is None:
            self._writer = session.event_writer(os.path.join(self._directory, self._name))
        summary = tf.Summary()
        for key, value in row.items():
            if isinstance(value, float) and math.isfinite(value):
                summary.value.add(tag=f"{TAG}/{self._name}/{key}", simple_value=value)
        self._writer.add_summary(summary, row["step"])
        self._writer.flush()

    def _write_table(self, row):
        """The rows as TSV, one for each checkpoint and settings."""
        latest = {tuple(r.get(key) for key in ALL): r for r in self.rows}
        rows = sorted(latest.values(), key=lambda r: r["step"])
        lines = [list(row), *([str(r.get(key, "")) for key in row] for r in rows)]
        files.write_whole(self.table_path, "".join("\t".join(line) + "\n" for line in lines))

    def close(self):
        """Ends the file of events."""
        if self._writer is not None:
            self._writer.close()


def _same(row, wanted, keys):
    return all(row.get(key) == wanted[key] for key in keys)


def _rows(path):
    """The rows of a file; [] without one."""
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path, "rb") as file:
        lines = file.read().split(b"\n")
    rows = []
    for number, line in enumerate(lines[:-1], 1):  # What follows the last line break is half.
        try:
            row = json.loads(line)
            rows.append({key: _number(row, key) for key in row} | {"step": int(row["step"])})
        except (ValueError, LookupError, TypeError):
            console.say(f"{path}, line {number} cannot be read and is ignored")
    return rows


def _number(row, key):
    """JSON has no infinity and no nan, and null stands for both: a row tells which."""
    if row[key] is not None:
        return row[key]
    overflown = "perplexity" in key and row.get("nats") is not None
    return math.inf if overflown and row.get("words" if "word" in key else "tokens") else math.nan


def _without_infinity(row):
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def _append(path, line):
    """Adds a line in one piece, after removing what is left of one that was cut in half."""
    if "://" in path:  # Object stores write whole objects.
        before = b""
        if tf.io.gfile.exists(path):
            with tf.io.gfile.GFile(path, "rb") as file:
                before = file.read()
        files.write_whole(path, before[: before.rfind(b"\n") + 1] + line.encode())
        return
    with open(path, "a+b", buffering=0) as file, _locked(file):
        file.seek(0)
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
        file.write(line.encode())
        os.fsync(file.fileno())


@contextlib.contextmanager
def _locked(file):
    """Two evaluations may add to one file."""
    import fcntl  # Not on every system; every system that TensorFlow 2.21 is built for has it.

    with contextlib.suppress(OSError):  # Some network file systems have no locks.
        fcntl.flock(file, fcntl.LOCK_EX)
    yield  # Closing the file ends the lock.
