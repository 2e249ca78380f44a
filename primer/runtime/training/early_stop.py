"""Early stopping: training ends when validations in a row bring no better loss.

The decision follows from the recorded losses alone, so that a run that was killed and resumed stops
where the uninterrupted run does.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class EarlyEnd(NamedTuple):
    """Why training ends before its last step.

    Attributes:
        validations: how many validations in a row brought no better loss.
        reason: a clause that says so and names the best checkpoint.
    """

    validations: int
    reason: str


def without_improvement(losses: Sequence[float], min_improvement: float = 0.0) -> int:
    """Returns how many losses at the end of a sequence are no improvement, in a row.

    A loss is an improvement if it is below that of the last improvement by more than
    `min_improvement`; the first finite loss is one, and a loss that is not finite is none.

    Args:
        losses: of the validations of a run, in the order of their steps.
        min_improvement: in nats per token, 0 or more.
    """
    lowest, count = float("inf"), 0
    for loss in losses:
        if loss < lowest - min_improvement:  # False for NaN.
            lowest, count = loss, 0
        else:
            count += 1
    return count


def describe(
    count: int, min_improvement: float, best: Mapping[str, Any] | None, directory: str
) -> str:
    """Returns the clause of an `EarlyEnd`.

    Args:
        count: how many validations in a row were no improvement.
        min_improvement: as of `without_improvement`.
        best: the result of the best checkpoint, or None if no loss was finite.
        directory: where the best checkpoint is.
    """
    validations = f"{count} validation{'s' if count > 1 else ''}"
    if best is None:
        return f"no finite validation loss in {validations}"
    better = f"better by more than {min_improvement:g}" if min_improvement else ""
    what = f"no validation loss {better}" if better else "no better validation loss"
    return (
        f"{what} in {validations}; the best is {best['nats_per_token']:.4f} nats per token at step "
        f"{best['step']:,}, in {directory}"
    )
