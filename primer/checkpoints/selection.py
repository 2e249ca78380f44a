"""Selects checkpoints of a model directory: all, the latest, the best, or by step."""

import os
from collections.abc import Iterable

from primer.checkpoints import checkpoint_files, model_directory
from primer.errors import UsageError

WORDS = ("all", "latest", "best")


def select_checkpoints(
    model_dir: str, which: str | int | Iterable[int] = "all", may_be_none: bool = False
) -> list[str]:
    """Returns the paths of checkpoints (`.../model.ckpt-N`), in the order of their steps.

    Damaged checkpoints are among them: reading them raises the error.

    Args:
        model_dir: a directory that was trained in.
        which: "all" (with the best, if there is one), "latest", "best", or steps: "1000,2000", 1000
            or [1000, 2000].
        may_be_none: whether to return [] where there is no checkpoint.

    Raises:
        UsageError: there is none, or not the selected one; the message lists the steps that exist.
    """
    in_directory = checkpoint_files.list_checkpoints(model_dir)
    best = checkpoint_files.list_checkpoints(os.path.join(model_dir, model_directory.BEST))
    if not in_directory and not best:
        if may_be_none:
            return []
        raise checkpoint_files.no_checkpoint_error(model_dir)
    if which == "best":
        # The file `checkpoint` changes when the copy of a new best is complete.
        path = checkpoint_files.named_checkpoint(os.path.join(model_dir, model_directory.BEST))
        if not path:
            raise UsageError(
                f"{model_dir} has no best checkpoint; train with --eval_every, or choose one with "
                "primer eval --keep_best"
            )
        return [path]
    if which == "latest":
        newest = in_directory or best
        return [newest[max(newest)]]
    both = {**best, **in_directory}
    steps = sorted(both) if which == "all" else _steps(which)
    missing = [step for step in steps if step not in both]
    if missing:
        raise UsageError(
            f"model_dir = {model_dir!r} has no checkpoint of step {', '.join(map(str, missing))} "
            f"(--checkpoint, --checkpoints); there are {', '.join(map(str, sorted(both)))}"
        )
    return [both[step] for step in steps]


def select_checkpoint(model_dir: str, which: str | int = "latest") -> str:
    """Returns the path of one checkpoint.

    Args:
        model_dir: a directory that was trained in.
        which: "latest", "best" or a step.

    Raises:
        UsageError: there is none, or something else is selected.
    """
    paths = select_checkpoints(model_dir, which)
    if len(paths) != 1 or which == "all":
        raise UsageError(
            f"checkpoint = {which!r} (--checkpoint): expected 'latest', 'best' or one step"
        )
    return paths[0]


def _steps(which):
    """Returns [3, 5] for "5,3", and [3] for 3."""
    if isinstance(which, str):
        which = which.split(",")
    elif isinstance(which, int):
        which = [which]
    try:
        return sorted({int(step) for step in which})
    except (TypeError, ValueError):
        raise UsageError(
            f"checkpoints = {which!r}: expected {', '.join(WORDS)}, or steps as in 1000,2000"
        ) from None
