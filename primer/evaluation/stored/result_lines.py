"""The lines of `primer eval`'s results as rows, and which of them count; without TensorFlow.

`primer.evaluation.results` writes them, and says what they are.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from primer.common import console

FOLDER = "eval"
SUFFIX = ".jsonl"
# Keys that are equal for all lines of one evaluation, and the keys of a checkpoint.
SETTINGS = (
    *("task", "split", "protocol", "window", "text_checksum", "counts_checksum"),
    *("configuration", "primer"),
)
CHECKPOINT = ("step", "weights")
ALL = SETTINGS + CHECKPOINT
Row = dict[str, Any]


def parse(content: bytes, path: str) -> list[Row]:
    """Returns the rows of a file's content; a line that cannot be read is named and left out.

    Args:
        content: what the file has; after its last line break, a line that a kill has truncated.
        path: the path of the file, for messages.
    """
    rows = []
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            row = json.loads(line)
            rows.append({key: _number(row, key) for key in row} | {"step": int(row["step"])})
        except (ValueError, LookupError, TypeError):
            console.say(f"{path}, line {number} cannot be read and is ignored")
    return rows


def _number(row, key):
    """The value of a key; null becomes infinity for an overflown perplexity, else nan."""
    if row[key] is not None:
        return row[key]
    overflown = "perplexity" in key and row.get("nats") is not None
    return math.inf if overflown and row.get("words" if "word" in key else "tokens") else math.nan


def local_files(model_dir: str) -> list[str]:
    """Returns the paths of a local directory's files of results, sorted."""
    folder = os.path.join(model_dir, FOLDER)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = (name for name in names if name.endswith(SUFFIX) and not name.startswith("."))
    return [os.path.join(folder, name) for name in found]


def equal(row: Row, other: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Returns whether two rows have the same values of some keys."""
    return all(row.get(key) == other[key] for key in keys)


def with_settings(rows: Sequence[Row], settings: Mapping[str, Any]) -> list[Row]:
    """Returns the rows with the same settings, the latest of each step, sorted by step."""
    latest = {row["step"]: row for row in rows if equal(row, settings, SETTINGS)}
    return [latest[step] for step in sorted(latest)]


def that_count(rows: Sequence[Row]) -> list[list[Row]]:
    """Returns the rows of each function that was measured on a file's text and protocol.

    Of several configurations, as after a change of the library, the last one counts; rows of other
    activations, or of other settings than in training, are of another function.

    Args:
        rows: those of one file, in the order of its lines.
    """
    last = {(row.get("activation_dtype"), row.get("not_as_trained")): row for row in rows}
    return [with_settings(rows, {key: row.get(key) for key in SETTINGS}) for row in last.values()]
