"""The message of each failure to write."""

import errno

import pytest
import tensorflow as tf

from primer.data.prepared import failures
from primer.data.prepared.plan import Plan

PLAN = Plan("text", "/data/out")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        tf.errors.ResourceExhaustedError(None, None, "/data/out/x; No space left on device"),
        tf.errors.UnknownError(None, None, "close: No space left on device"),
    ],
)
def test_a_full_disk_is_recognized(error):
    message = str(failures.write_failure(PLAN, "shard 1 of 3", error))
    assert message.startswith(
        "no space left for shard 1 of 3 in /data/out; finished shards are kept"
    )


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "Permission denied"),
        tf.errors.PermissionDeniedError(None, None, "Permission denied\nat some place"),
    ],
)
def test_other_errors_are_named_in_one_line(error):
    message = str(failures.write_failure(PLAN, "shard 1 of 3", error))
    assert message.startswith("shard 1 of 3 in /data/out cannot be written (")
    assert "Permission denied); finished shards are kept" in message
