"""Scores pairs of (context, continuation), with memory where the model has it.

Without memory a pair that does not fit into a window is cut into rolling windows
(`primer.evaluation.windows.rolling`). With memory its windows are read one after the other, and the
context is all that memory reaches.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from primer.evaluation import tokenized_split
from primer.evaluation.memory import plan
from primer.evaluation.windows import losses, rolling

if TYPE_CHECKING:
    from primer.evaluation.scorer import Scorer


def nats_and_best(
    scorer: "Scorer",
    pairs: Sequence[tuple[list[int], list[int]]],
    progress: Callable[[float], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (nats, are_best) of the tokens of all pairs, joined; those of contexts are of no use.

    Args:
        scorer: has the weights of a checkpoint.
        pairs: token ids of (context, continuation).
        progress: called after each batch with the share that is done.
    """
    if scorer.memory is None:
        ids, windows = rolling.cut_pairs(pairs, scorer.length)
        return losses.token_nats_and_best(scorer, windows, ids, progress)
    ids = np.array([i for pair in pairs for part in pair for i in part], np.int32)
    lengths = np.array([len(context) + len(rest) for context, rest in pairs], np.int64)
    text = tokenized_split.from_tokens(ids, lengths[lengths > 0], 0)
    read = plan.make("packed", text, scorer.length, scorer.memory, scorer.rows)
    return losses.token_nats_and_best(scorer, read.windows, ids, progress, read.inputs, read.begins)
