"""Why something of a prepared data set could not be written, in one line."""

import errno

import tensorflow as tf

from primer.common import files
from primer.errors import RunError

WRITE_ERRORS = (OSError, tf.errors.OpError)

_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_failure(plan, what: str, error: Exception) -> RunError:
    """The error for one of WRITE_ERRORS.

    Args:
        plan: a `primer.data.prepared.plan.Plan`.
        what: what was being written.
        error: what happened.
    """
    text = files.first_line(error)
    full = getattr(error, "errno", None) in _FULL or "No space left" in text
    if full or isinstance(error, tf.errors.ResourceExhaustedError):
        return RunError(
            f"no space left for {what} in {plan.output}; finished shards are kept: free some "
            "space and run the same command again"
        )
    return RunError(
        f"{what} in {plan.output} cannot be written ({text}); finished shards are kept: run the "
        "same command again"
    )
