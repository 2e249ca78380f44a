"""Which checkpoints of a model directory to evaluate: all, the latest, the best, or by step."""

import os

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, model_directory
from primer.errors import UsageError

WORDS = ("all", "latest", "best")


def select_checkpoints(model_dir, wanted="all", may_be_none=False) -> list:
    """The paths of checkpoints (`.../model.ckpt-N`), in the order of their steps.

    Whole or damaged is not looked at here: who reads one that is damaged says so.

    Args:
        model_dir: a directory that was trained in.
        wanted: "all" (with the best, if it is kept beside the others), "latest", "best", or steps:
            "1000,2000", 1000 or [1000, 2000].
        may_be_none: whether [] is an answer where there is none yet.

    Raises:
        UsageError: there is none, or not the wanted one; the message lists the steps that there
            are.
    """
    found = checkpoint_files.list_checkpoints(model_dir)
    best = checkpoint_files.list_checkpoints(os.path.join(model_dir, model_directory.BEST))
    if not found and not best and may_be_none:
        return []
    if not found and not best:
        raise checkpoint_files.no_checkpoint_error(model_dir)
    if wanted == "best":
        # By the file `checkpoint`, which changes when the copy of a new best is whole.
        kept = tf.train.latest_checkpoint(os.path.join(model_dir, model_directory.BEST))
        if not kept:
            raise UsageError(
                f"{model_dir} keeps no best checkpoint; train with --eval_every, or "
                "choose one with primer eval --keep_best"
            )
        return [kept]
    if wanted == "latest":
        newest = found or best
        return [newest[max(newest)]]
    both = {**best, **found}
    steps = sorted(both) if wanted == "all" else _steps(wanted)
    missing = [step for step in steps if step not in both]
    if missing:
        raise UsageError(
            f"model_dir = {model_dir!r} has no checkpoint of step {', '.join(map(str, missing))} "
            f"(--checkpoint, --checkpoints); there are {', '.join(map(str, sorted(both)))}"
        )
    return [both[step] for step in steps]


def select_checkpoint(model_dir, wanted="latest") -> str:
    """The path of one checkpoint.

    Args:
        model_dir: a directory that was trained in.
        wanted: "latest", "best" or a step.

    Raises:
        UsageError: there is none, or something else is wanted.
    """
    found = select_checkpoints(model_dir, wanted)
    if len(found) != 1 or wanted == "all":
        raise UsageError(
            f"checkpoint = {wanted!r} (--checkpoint): expected 'latest', 'best' or one step"
        )
    return found[0]


def _steps(wanted):
    """[3, 5] of "5,3", 3 or [3, 5]."""
    if isinstance(wanted, str):
        wanted = wanted.split(",")
    elif isinstance(wanted, int):
        wanted = [wanted]
    try:
        return sorted({int(step) for step in wanted})
    except (TypeError, ValueError):
        raise UsageError(
            f"checkpoints = {wanted!r}: expected {', '.join(WORDS)}, or steps as in 1000,2000"
        ) from None
