"""How many tokens a run has trained on up to a step, padding included.

A session of training records in `primer.json` the step it begins at and its tokens per step, where
these differ from those of the session before:

    "tokens_per_step": [[0, 4096], [1000, 8192]]
"""

from collections.abc import Mapping
from typing import Any

from primer.checkpoints import model_directory

KEY = "tokens_per_step"


def describe(model_dir: str, start: int, tokens: int) -> dict[str, list[list[int]]]:
    """Returns what `primer.json` records for a session of training.

    Args:
        model_dir: the directory, with the record of earlier sessions.
        start: the step that the session begins at.
        tokens: its tokens per step.
    """
    record = model_directory.read_record(model_dir) or {}
    # A session may begin before the end of the one before it, from an earlier checkpoint.
    history = [entry for entry in record.get(KEY, []) if entry[0] < start]
    if not history or history[-1][1] != tokens:
        history.append([start, tokens])
    return {KEY: history}


def up_to(record: Mapping[str, Any] | None, step: int) -> int | None:
    """Returns the tokens that were trained on up to a step.

    Args:
        record: the record of a model directory, or None.
        step: the step.

    Returns:
        The number, or None where an earlier version trained a part of the run: it recorded none.
    """
    history = (record or {}).get(KEY, [])
    if not history or history[0][0] > 0:
        return None
    ends = [*(first for first, _ in history[1:]), step]
    pairs = zip(history, ends, strict=True)
    return sum(max(0, min(end, step) - first) * tokens for (first, tokens), end in pairs)
