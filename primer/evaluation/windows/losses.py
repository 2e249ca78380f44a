"""Runs a scorer over the windows of a text and returns the values in the text's order."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from primer.evaluation.windows.cutting import Windows

if TYPE_CHECKING:
    from primer.evaluation.scorer import Scorer


def token_nats(
    scorer: "Scorer",
    windows: Windows,
    ids: np.ndarray,
    progress: Callable[[float], None] | None = None,
    inputs: np.ndarray | None = None,
) -> np.ndarray:
    """Returns -log p of each token, in nats, [tokens] float32; 0 for context alone.

    Args:
        scorer: has the weights of a checkpoint, and windows of the same length.
        windows: where each token stands.
        ids: the tokens of the text, [tokens].
        progress: called after each batch with the share of the rows that is done.
        inputs: what a masked model reads in place of each token, [tokens].
    """

    def nats(targets, segments, *read):
        return (scorer.nats(targets, segments, *read),)

    (result,) = _gathered(nats, scorer.rows, windows, ids, (np.float32,), progress, inputs)
    return result


def token_nats_and_best(
    scorer: "Scorer",
    windows: Windows,
    ids: np.ndarray,
    progress: Callable[[float], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (nats, are_best) of each token: also whether it is the model's first choice.

    The arguments are those of `token_nats`; are_best is [tokens] bool, False for context alone.
    """
    types = (np.float32, bool)
    nats, are_best = _gathered(scorer.nats_and_best, scorer.rows, windows, ids, types, progress)
    return nats, are_best


def _gathered(compute, batch_rows, windows, ids, types, progress, inputs=None):
    """One array [tokens] for each value that `compute(targets, segments)` returns.

    With `inputs`, a third argument has the inputs of the rows.
    """
    results = [np.zeros(len(ids), dtype) for dtype in types]
    for first in range(0, windows.num_rows, batch_rows):
        end = min(first + batch_rows, windows.num_rows)
        read = [] if inputs is None else [windows.fill_rows(inputs, first, end)[0]]
        found = compute(*windows.fill_rows(ids, first, end), *read)
        tokens, places = windows.counted_tokens(first, end)
        for result, values in zip(results, found, strict=True):
            result[tokens] = values.reshape(-1)[places]
        if progress:
            progress(end / windows.num_rows)
    return results
