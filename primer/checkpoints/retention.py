"""Which checkpoints of a run are kept: deletes obsolete ones, and lists the others.

TensorFlow's Saver deletes whatever the paths in the file `checkpoint` match as patterns, in any
directory. This deletes files of exact names in the run's own directory.
"""

import time

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, checkpoint_state


class Retention:
    """Keeps the newest checkpoints of a directory, and one every so many hours.

    Args:
        directory: the directory of the run; the file `checkpoint` lists those that may be deleted.
        most: the number of checkpoints that are kept; 0 or None for all.
        every_hours: hours after each of which the oldest checkpoint is kept for good.
    """

    def __init__(self, directory: str, most: int | None, every_hours: float) -> None:
        self._directory = directory
        self._most = most
        self._seconds = every_hours * 3600
        self._next_kept = time.time() + self._seconds
        state = checkpoint_state.read(directory)
        listed = state.paths if state else []
        self._paths = [path for path in listed if checkpoint_files.has_index(path)]

    def add(self, path: str) -> None:
        """Makes a checkpoint the newest of the file `checkpoint`, then deletes obsolete ones."""
        self._paths = [*(other for other in self._paths if other != path), path]
        excess = len(self._paths) - self._most if self._most else 0
        obsolete = self._paths[: max(excess, 0)]
        del self._paths[: len(obsolete)]
        checkpoint_state.write(self._directory, self._paths)
        for old in obsolete:
            if not self._is_kept_for_good(old):
                checkpoint_files.delete(old)

    def _is_kept_for_good(self, path):
        """As TensorFlow's Saver: whether the checkpoint was written after the time for the next."""
        try:
            written = tf.io.gfile.stat(f"{path}.index").mtime_nsec / 1e9
        except tf.errors.NotFoundError:
            return False
        if written <= self._next_kept:
            return False
        self._next_kept += self._seconds
        return True
