"""Results of evaluated checkpoints: one JSON line each in `model_dir/eval/<name>.jsonl`.

A line is written as soon as its checkpoint is scored, so an evaluation that is killed loses one
checkpoint at most. The next evaluation reads the lines and does not score a checkpoint again if
its weights, text, protocol, window, the function that the model computes and the version of this
library are equal. Lines of older versions do not say which function they measured, so that their
checkpoints are scored again.

A line that a kill has truncated has no line break; it is ignored, and the next line replaces it.
Lines are never changed; of two lines for the same checkpoint and settings the later one counts. The
TSV and the TensorBoard events are derived from the lines, for other programs.
"""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from primer.common import files, user_paths
from primer.evaluation import report
from primer.evaluation.stored import result_lines
from primer.evaluation.stored.result_lines import ALL, FOLDER, Row
from primer.runtime import session

TAG = "primer_eval"


class Results:
    """The lines of one task, split and protocol in a model directory.

    Args:
        model_dir: a local or remote directory.
        name: the name of the files, without extension.

    Attributes:
        path, table_path: the paths of the JSON lines and of the TSV.
        rows: all rows, in the order of the lines.
    """

    def __init__(self, model_dir: str, name: str) -> None:
        self._directory = os.path.join(model_dir, FOLDER)
        self._name = name
        self.path = os.path.join(self._directory, f"{name}.jsonl")
        self.table_path = os.path.join(self._directory, f"{name}.tsv")
        self._writer: tf.summary.FileWriter | None = None
        # A row has the directory's name of the time when it was written.
        self.rows = [
            {**row, "model_dir": model_dir} if "model_dir" in row else row
            for row in _read_rows(self.path)
        ]

    def find_row(self, settings: Mapping[str, Any], step: int, weights: str) -> Row | None:
        """Returns the latest row of a checkpoint under the same settings, or None.

        Args:
            settings: has the keys of SETTINGS.
            step: the step of the checkpoint.
            weights: the fingerprint of the checkpoint.
        """
        keys = {**settings, "step": step, "weights": weights}
        return next((r for r in reversed(self.rows) if result_lines.equal(r, keys, ALL)), None)

    def rows_with(self, settings: Mapping[str, Any]) -> list[Row]:
        """Returns the rows with the same settings, the latest of each step, sorted by step."""
        return result_lines.with_settings(self.rows, settings)

    def add_row(self, row: Row) -> None:
        """Writes a row to the events and the lines, and rewrites the TSV.

        Args:
            row: numbers and strings, with the keys of SETTINGS and CHECKPOINT.
        """
        tf.io.gfile.makedirs(self._directory)
        self._add_events(row)
        _append(self.path, json.dumps(_nulls_for_non_finite(row)) + "\n")
        self.rows.append(row)
        self._write_table(row)

    def _add_events(self, row):
        """Writes tags `primer_eval/<name>/<unit>`, apart from those of stock evaluation.

        Numbers of another function than was trained, and of other types than float32, are a curve
        of their own.
        """
        summary = tf.Summary()
        for key, value in row.items():
            if isinstance(value, float) and math.isfinite(value):
                summary.value.add(tag=f"{TAG}/{self._name}/{key}", simple_value=value)
        writer = self._event_writer(row)
        writer.add_summary(summary, row["step"])
        writer.flush()

    def _event_writer(self, row=None):
        if self._writer is None:
            name = self._name
            if row and (
                row.get("not_as_trained") or report.activation_dtype(row) != report.FLOAT32
            ):
                name = f"{name}_{row['configuration']}"
            self._writer = session.event_writer(os.path.join(self._directory, name))
        return self._writer

    def drop_events_from(self, step: int) -> None:
        """Makes TensorBoard drop the events from a step on: a resumed run evaluates them again."""
        session.drop_events_from(self._event_writer(), step)

    def _write_table(self, row):
        """Writes the rows as TSV, the latest for each checkpoint and settings."""
        latest = {tuple(r.get(key) for key in ALL): r for r in self.rows}
        rows = sorted(latest.values(), key=lambda r: r["step"])
        lines = [list(row), *([str(r.get(key, "")) for key in row] for r in rows)]
        files.write_whole(self.table_path, "".join("\t".join(line) + "\n" for line in lines))

    def close(self) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()


def _read_rows(path):
    """The rows of a file; [] if it does not exist."""
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path, "rb") as file:
        return result_lines.parse(file.read(), path)


def _nulls_for_non_finite(row):
    """JSON has no infinity and no nan."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def _append(path, line):
    """Appends a whole line, in place of a truncated last line."""
    if user_paths.is_remote(path):  # Object stores write whole objects.
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
    """Locks the file against a second evaluation that appends to it."""
    import fcntl  # Not on every system; every system that TensorFlow 2.21 is built for has it.

    with contextlib.suppress(OSError):  # Some network file systems have no locks.
        fcntl.flock(file, fcntl.LOCK_EX)
    yield  # Closing the file ends the lock.
