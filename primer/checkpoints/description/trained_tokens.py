"""How many tokens a run has trained on up to a step, padding included, and with how many FLOPs.

A session of training records in `primer.json` the step it begins at, its tokens per step, its FLOPs
per token and their convention, where these differ from those of the session before:

    "tokens_per_step": [[0, 4096, 1870000, "exact with attention"],
                        [1000, 8192, 1920000, "exact with attention"]]

Only Primer's own training loop records this. FLOPs depend on the length of the training's
sequences, so that an evaluation at another length cannot count them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from primer.cost import conventions

if TYPE_CHECKING:
    from primer.cost.model_cost import ModelCost

KEY = "tokens_per_step"


def of_batch(sizes: Sequence[int]) -> int:
    """Returns the tokens of a step, padding included; those of one member of an ensemble.

    Args:
        sizes: the sizes of a batch, `[rows, length]` or `[members, rows, length]`.
    """
    return math.prod(sizes[-2:])


def describe(
    model_dir: str, start: int, tokens: int, cost: "ModelCost | None" = None
) -> dict[str, list[list[Any]]]:
    """Returns what `primer.json` records for a session of training.

    Args:
        model_dir: the directory, with the record of earlier sessions.
        start: the step that the session begins at.
        tokens: its tokens per step.
        cost: the cost of its model at its length, or None where that is not known.
    """
    from primer.checkpoints import model_directory  # Not at the top: it imports TensorFlow.

    record = model_directory.read_record(model_dir) or {}
    # A session may begin before the end of the one before it, from an earlier checkpoint.
    history = [entry for entry in record.get(KEY, []) if entry[0] < start]
    numbers = [tokens, *([round(cost.training), conventions.EXACT] if cost else [])]
    if not history or history[-1][1:] != numbers:
        history.append([start, *numbers])
    return {KEY: history}


def up_to(record: Mapping[str, Any] | None, step: int) -> int | None:
    """Returns the tokens that were trained on up to a step.

    Args:
        record: the record of a model directory, or None.
        step: the step.

    Returns:
        The number, or None where an earlier version trained a part of the run: it recorded none.
    """
    parts = _parts(record, step)
    return None if parts is None else sum(tokens for tokens, *_ in parts)


def flops_up_to(record: Mapping[str, Any] | None, step: int) -> int | None:
    """Returns the FLOPs of the training up to a step, by `conventions.EXACT`.

    Args:
        record: the record of a model directory, or None.
        step: the step.

    Returns:
        The number, or None where the FLOPs of a part of the run were not recorded.
    """
    parts = _parts(record, step)
    if parts is None or any(cost[1:] != [conventions.EXACT] for _, *cost in parts):
        return None
    return sum(tokens * flops for tokens, flops, _ in parts)


def _parts(record, step):
    """Returns (tokens, FLOPs per token, convention) of each session's part of the steps.

    The latter two are left out where they were not recorded. None: tokens were not recorded.
    """
    history = (record or {}).get(KEY, [])
    if not history or history[0][0] > 0:
        return None
    ends = [*(entry[0] for entry in history[1:]), step]
    return [
        (tokens * (min(end, step) - first), *cost)
        for (first, tokens, *cost), end in zip(history, ends, strict=True)
        if first < step
    ]
