"""The file `checkpoint` of a directory: the names of its checkpoints, oldest first.

The names are relative to the directory, so that it can be copied and moved. TensorFlow and earlier
versions wrote absolute paths: such a path means the checkpoint of the same name in the directory of
the file, never one elsewhere.
"""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from primer.common import files

FILE = "checkpoint"
_NAME = re.compile(r"model\.ckpt-\d+")


class CheckpointState(NamedTuple):
    """What the file names.

    Attributes:
        latest: the path, in the directory, of the newest checkpoint.
        paths: the paths, in the directory, of all checkpoints that may be deleted, oldest first.
        named: the newest checkpoint as the file has it, a path from where the process runs.
    """

    latest: str
    paths: list[str]
    named: str


def read(directory: str) -> CheckpointState | None:
    """Returns what the file names; None if there is no such file, or if it is damaged."""
    try:
        state = tf.train.get_checkpoint_state(directory)
    except ValueError:  # It names no checkpoint, or is not UTF-8.
        return None
    if state is None:
        return None
    names = map(os.path.basename, state.all_model_checkpoint_paths)
    return CheckpointState(
        inside(directory, state.model_checkpoint_path),
        [os.path.join(directory, name) for name in names if _NAME.fullmatch(name)],
        state.model_checkpoint_path,
    )


def inside(directory: str, path: str) -> str:
    """Returns the path, in a directory, of the file that has the name of `path`."""
    return os.path.join(directory, os.path.basename(path))


def write(directory: str, paths: Sequence[str]) -> None:
    """Writes the file, whole or not at all.

    Args:
        directory: where the file goes.
        paths: checkpoints in the directory, the oldest first; only their names are written.
    """
    names = [os.path.basename(path) for path in paths]
    lines = [
        f'model_checkpoint_path: "{names[-1]}"',
        *(f'all_model_checkpoint_paths: "{name}"' for name in names),
    ]
    files.write_whole(os.path.join(directory, FILE), "".join(f"{line}\n" for line in lines))
