"""The best checkpoint of a run, copied to `model_dir/best` with all files that its use needs.

`best.json` in it has the result that was measured. The files `checkpoint` and `best.json` change
when the new copy is complete, and the old copy is deleted last: a kill at any time leaves one of
the two.
"""

import os
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, checkpoint_state, model_directory
from primer.common import files

RECORD = "best.json"


def directory(model_dir: str) -> str:
    """Returns the directory of a run's best checkpoint."""
    return os.path.join(model_dir, model_directory.BEST)


def read_result(model_dir: str) -> dict[str, Any] | None:
    """Returns the result of the stored checkpoint, with "step", or None."""
    return files.read_json(os.path.join(directory(model_dir), RECORD), "remove the folder of it")


def store(model_dir: str, source: str, result: dict[str, Any]) -> None:
    """Replaces the stored checkpoint.

    Args:
        model_dir: the directory of the run.
        source: the path of the checkpoint; for the stored one itself only its result changes.
        result: what was measured: plain values, with "step" and "nats_per_token"; JSON has no NaN,
            and what is NaN is left out.
    """
    best = directory(model_dir)
    tf.io.gfile.makedirs(best)
    old = set(checkpoint_files.list_files(best))
    paths = [*checkpoint_files.files_of(source), *model_directory.files_of_model(model_dir)]
    new = {path: os.path.join(best, os.path.basename(path)) for path in paths}
    for path, copy in new.items():
        if path != copy:
            tf.io.gfile.copy(path, copy, overwrite=True)
    checkpoint_state.write(best, [source])
    known = {key: value for key, value in result.items() if value == value}
    files.write_json(os.path.join(best, RECORD), known)
    for path in old - set(new.values()):
        tf.io.gfile.remove(path)
