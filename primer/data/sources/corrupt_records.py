"""Names the file that holds a damaged TFRecord.

TensorFlow reports the byte at which a record is truncated or fails its checksum, but not the file.
After such an error the files of the task are read one by one to find the damaged one.
"""

import contextlib
import functools
import re
from collections.abc import Iterator

import seqio
import tensorflow as tf

from primer.common import files, tf_data
from primer.errors import RunError


@contextlib.contextmanager
def name_corrupt_file(task: seqio.Task) -> Iterator[None]:
    """A context that turns TensorFlow's error about a damaged record into one naming the file.

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
    """Returns the error that names the damaged file, or None if every file can be read.

    Args:
        task: the task whose data were being read.
        error: TensorFlow's error.
    """
    for path in _record_files(task):
        if _is_damaged(path):
            return damaged(path, _record_position(error))
    return None


def damaged(path: str, problem: str) -> RunError:
    """Returns the error for a damaged file of records.

    Args:
        path: the file.
        problem: what is wrong with which record.
    """
    return RunError(
        f"{path} is damaged ({problem}): it is truncated or was changed; copy or prepare it again"
    )


def _record_position(error):
    """The part of TensorFlow's message that says what is wrong at which byte."""
    match = re.search(r"(truncated|corrupted) record at \d+", str(error))
    return match[0] if match else files.first_line(error)


def _record_files(task):
    """Yields the files of prepared data, then those of the source."""
    if task.cache_dir:
        yield from files.matching_files(task.cache_dir, r".*\.tfrecord-.*")
    if hasattr(task.source, "record_files"):
        yield from task.source.record_files()


def _is_damaged(path):
    try:
        tf_data.count(functools.partial(tf.data.TFRecordDataset, path))
    except tf.errors.DataLossError:
        return True
    return False
