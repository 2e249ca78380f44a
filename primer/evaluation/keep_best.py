"""`primer eval --keep_best`: the best of the evaluated checkpoints, in `model_dir/best`.

The checkpoint that is kept there already is evaluated with the others, first, so that all were
measured in the same way; it is replaced when a better one has been found, at once, since a run that
goes on may delete that soon.
"""

import contextlib
import math

import tensorflow.compat.v1 as tf

from primer.checkpoints import best_checkpoint, checkpoint_files, directory_lock, selection
from primer.common import console
from primer.errors import RunError
from primer.runtime.training import validation


def with_kept(model_dir, paths) -> list:
    """The paths, the kept checkpoint first."""
    kept = checkpoint_files.latest_checkpoint(best_checkpoint.directory(model_dir))
    if kept is None:
        return paths
    step = checkpoint_files.step_of(kept)
    same = [path for path in paths if checkpoint_files.step_of(path) == step]
    return [*(same or [kept]), *(path for path in paths if path not in same)]


class Best:
    """Keeps the best of the rows that it sees.

    Args:
        model_dir: of the run.

    Raises:
        UsageError: the run is going on, and keeps its best itself.
    """

    def __init__(self, model_dir):
        self._model_dir = model_dir
        self._row = None
        with self._alone():
            pass

    def see(self, path, row):
        """Takes the row of a checkpoint; copies the checkpoint if none was better."""
        nats = row["nats_per_token"]
        if not math.isfinite(nats) or (self._row and self._row["nats_per_token"] <= nats):
            return
        self._row = row
        finite = {key: value for key, value in row.items() if value == value}
        try:
            with self._alone():
                best_checkpoint.store(self._model_dir, path, finite)
        except tf.errors.OpError as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{path} cannot be copied to {self._model_dir}: {reason}") from error
        console.say(f"step {row['step']:,} is the best so far: kept in {self._kept_in()}")

    def _kept_in(self):
        return selection.select_checkpoints(self._model_dir, "best")[0]

    def _alone(self):
        """With --eval_every, training writes there too: not at the same time."""
        if validation.validation():
            return directory_lock.held(self._model_dir)
        return contextlib.nullcontext()
