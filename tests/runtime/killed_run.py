"""A training process that kills itself while it writes a checkpoint.

`python -m tests.runtime.killed_run MODEL_DIR STEP MOMENT [BINDING ...]`

MOMENT is "before" (the input position is written, the model's files are not), "late" (as "before",
and training has gone on for two steps), "within" (the model's files are written, and `checkpoint`
does not name them yet) or "after" (all files are written).
"""

import os
import signal
import sys
import threading

from primer.runtime import import_hook

import_hook.install()

from primer.checkpoints.retention import Retention  # noqa: E402
from primer.runtime.training.saving.checkpoint_writer import CheckpointWriter  # noqa: E402
from primer.runtime.training.saving.snapshot import Snapshot  # noqa: E402
from tests.runtime import tiny  # noqa: E402

# Set when training has gone on after the fatal step.
later = threading.Event()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def dying_write(stock, fatal_step, moment):
    """Returns a Snapshot.write that kills the process at one step, from the thread that writes."""

    def write(snapshot, sess, path):
        is_fatal = path.endswith(f"-{fatal_step}")
        if is_fatal and moment in ("before", "late"):
            if moment == "late":
                later.wait()
            die()
        stock(snapshot, sess, path)
        if is_fatal and moment == "within":
            die()

    return write


def dying_add(stock, fatal_step):
    """Returns a Retention.add, which names the newest checkpoint, that then kills the process."""

    def add(kept, path):
        stock(kept, path)
        if path.endswith(f"-{fatal_step}"):
            die()

    return add


def noting_poll(stock, fatal_step):
    """Returns a CheckpointWriter.poll, called after every step, that notes two later steps."""
    calls = []

    def poll(writer):
        calls.append(1)
        if len(calls) == fatal_step + 2:
            later.set()
        stock(writer)

    return poll


if __name__ == "__main__":
    model_dir, step, moment, *bindings = sys.argv[1:]
    CheckpointWriter.poll = noting_poll(CheckpointWriter.poll, int(step))
    Snapshot.write = dying_write(Snapshot.write, int(step), moment)
    Retention.add = dying_add(Retention.add, int(step))
    tiny.run(model_dir, *bindings)
