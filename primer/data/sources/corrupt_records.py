"""Records that are damaged: which file has them.

TensorFlow says at which byte a record ends too early or differs from its checksum, and not of which
file. So after it has failed, the files of the task are read one by one.
"""

import contextlib
import functools
import os
import re
from collections.abc import Iterator

import seqio
import tensorflow as tf

from primer.common import files, tf_data
from primer.errors import RunError


@contextlib.contextmanager
def name_corrupt_file(task: seqio.Task) -> Iterator[None]:
    """Inside the block, an error about a damaged record names the file.

    Raises:
        RunError: a record of the task's data is damaged.
    """
    try:
        yield
    except tf.errors.DataLossError as error:
        problem = diagnose(task, error)
        if problem is None:
            raise
        raise problem from error


def diagnose(task: seqio.Task, error: Exception) -> RunError | None:
    """What to say of a damaged record; None where every file of the task can be read.

    Args:
        task: a task whose data were being read.
        error: what TensorFlow said.
    """
    for path in _paths(task):
        if _is_damaged(path):
            return RunError(
                f"{path} is damaged ({_what(error)}): it was cut short or changed; copy or prepare "
                "it again"
            )
    return None


def _what(error):
    """TensorFlow's few words among the names of its operations."""
    match = re.search(r"(truncated|corrupted) record at \d+", str(error))
    return match[0] if match else files.first_line(error)


def _paths(task):
    """The files of prepared data, then those of the source."""
    if task.cache_dir:
        yield from sorted(tf.io.gfile.glob(os.path.join(task.cache_dir, "*.tfrecord-*")))
    if hasattr(task.source, "record_files"):
        yield from task.source.record_files()


def _is_damaged(path):
    try:
        tf_data.count(functools.partial(tf.data.TFRecordDataset, path))
    except tf.errors.DataLossError:
        return True
    return False
