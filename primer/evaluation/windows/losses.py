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
    begins: np.ndarray | None = None,
) -> np.ndarray:
    """Returns -log p of each token, in nats, [tokens] float32; 0 for context alone.

    Args:
        scorer: has the weights of a checkpoint, and windows of the same length.
        windows: where each token stands.
        ids: the tokens of the text, [tokens].
        progress: called after each batch with the share of the rows that is done.
        inputs: what the model reads in place of each token, of a masked model, or before it,
            [tokens]; None for the token before it in its window.
        begins: of a model with memory, whether a row begins with empty memory, [rows]; None: all
            do.
    """

    def nats(*rows, **read):
        return (scorer.nats(*rows, **read),)

    types = (np.float32,)
    (result,) = _gathered(nats, scorer.rows, windows, ids, types, progress, inputs, begins)
    return result


def token_nats_and_best(
    scorer: "Scorer",
    windows: Windows,
    ids: np.ndarray,
    progress: Callable[[float], None] | None = None,
    inputs: np.ndarray | None = None,
    begins: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (nats, are_best) of each token: also whether it is the model's first choice.

    The arguments are those of `token_nats`; are_best is [tokens] bool, False for context alone.
    """
    types, compute = (np.float32, bool), scorer.nats_and_best
    nats, are_best = _gathered(compute, scorer.rows, windows, ids, types, progress, inputs, begins)
    return nats, are_best


def _gathered(compute, batch_rows, windows, ids, types, progress, inputs, begins):
    """One array [tokens] for each value that `compute(targets, segments)` returns.

    With `inputs` and `begins` it gets those of the rows too.
    """
    results = [np.zeros(len(ids), dtype) for dtype in types]
    for first in range(0, windows.num_rows, batch_rows):
        end = min(first + batch_rows, windows.num_rows)
        read = {}
        if inputs is not None:
            read["inputs"] = windows.fill_rows(inputs, first, end)[0]
        if begins is not None:
            read["begins"] = begins[first:end]
        found = compute(*windows.fill_rows(ids, first, end), **read)
        tokens, places = windows.counted_tokens(first, end)
        for result, values in zip(results, found, strict=True):
            result[tokens] = values.reshape(-1)[places]
        if progress:
            progress(end / windows.num_rows)
    return results
