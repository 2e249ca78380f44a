"""`primer eval --keep_best`: copies the best evaluated checkpoint to `model_dir/best`.

A checkpoint that is kept there already is evaluated first, with the same text and protocol as the
others. It is replaced as soon as a better one has been scored, because a run that is still training
may delete the better one soon.
"""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import best_checkpoint, checkpoint_files, directory_lock, selection
from primer.common import console
from primer.errors import RunError, UsageError
from primer.evaluation import report
from primer.runtime.training import validation


def kept_first(model_dir: str, paths: list[str]) -> list[str]:
    """Returns the paths of checkpoints with the kept one added or moved to the front."""
    kept = checkpoint_files.latest_checkpoint(best_checkpoint.directory(model_dir))
    if kept is None:
        return paths
    step = checkpoint_files.step_of(kept)
    same = [path for path in paths if checkpoint_files.step_of(path) == step]
    return [*(same or [kept]), *(path for path in paths if path not in same)]


def check_function(not_as_trained: Sequence[str], activation_dtype: str) -> None:
    """Raises UsageError unless losses are those of the model as trained, in float32.

    Args:
        not_as_trained: the settings in which the function is another.
        activation_dtype: the type of the model's activations.
    """
    if not_as_trained:
        raise UsageError(
            f"--keep_best keeps the best of the model as trained, and this is another function "
            f"({'; '.join(not_as_trained)}); leave out one of the two"
        )
    if activation_dtype != report.FLOAT32:
        raise UsageError(
            f"--keep_best and --activation_dtype = {activation_dtype!r}: the best checkpoint is "
            "that of float32; leave out one of the two"
        )


class BestCheckpointKeeper:
    """Copies the checkpoint of the lowest loss seen so far.

    Args:
        model_dir: the directory of the run.

    Raises:
        UsageError: a training of the run is in progress and keeps its own best (--eval_every).
    """

    def __init__(self, model_dir: str) -> None:
        self._model_dir = model_dir
        self._row: dict[str, Any] | None = None
        with self._exclusive():
            pass

    def consider(self, path: str, row: dict[str, Any]) -> None:
        """Copies a checkpoint if its row has a lower loss than all rows before.

        Raises:
            RunError: the checkpoint cannot be copied.
        """
        nats = row["nats_per_token"]
        if not math.isfinite(nats) or (self._row and self._row["nats_per_token"] <= nats):
            return
        self._row = row
        try:
            with self._exclusive():
                best_checkpoint.store(self._model_dir, path, row)
        except tf.errors.OpError as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{path} cannot be copied to {self._model_dir}: {reason}") from error
        kept = selection.select_checkpoints(self._model_dir, "best")[0]
        console.say(f"step {row['step']:,} is the best so far: kept in {kept}")

    def _exclusive(self):
        """Locks the directory if training writes there too (--eval_every)."""
        if validation.validation():
            return directory_lock.held(self._model_dir)
        return contextlib.nullcontext()
