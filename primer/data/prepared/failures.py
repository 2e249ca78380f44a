"""One error message for each failure to write a prepared data set."""

import errno
from typing import TYPE_CHECKING

import tensorflow as tf

from primer.common import files
from primer.errors import RunError

if TYPE_CHECKING:
    from primer.data.prepared.plan import Plan

WRITE_ERRORS = (OSError, tf.errors.OpError)

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_failure(plan: "Plan", what: str, error: Exception) -> RunError:
    """Returns the error to raise for one of WRITE_ERRORS.

    Args:
        plan: the data set.
        what: the part of it that was being written.
        error: the file system's error.
    """
    reason = files.first_line(error)
    full = getattr(error, "errno", None) in _DISK_FULL or "No space left" in reason
    if full or isinstance(error, tf.errors.ResourceExhaustedError):
        return RunError(
            f"no space left for {what} in {plan.output}; finished shards are kept: free some "
            "space and run the same command again"
        )
    return RunError(
        f"{what} in {plan.output} cannot be written ({reason}); finished shards are kept: run the "
        "same command again"
    )
