"""Checkpoints of a run that goes on, as they come."""

import time

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files
from primer.common import console

# Seconds between two looks at the directory.
POLL = 2.0


def watch_checkpoints(model_dir, first, goal=None, timeout=None, poll=POLL):
    """Yields the paths of checkpoints: those that there are, then each new one.

    Where several have come meanwhile, all are yielded, in the order of their steps. One that is
    gone before its turn is yielded as well: whoever reads it says so.

    Args:
        model_dir: the directory of the run.
        first: paths that there are and that are wanted.
        goal: the last step of the run, at which this ends; None: nobody knows.
        timeout: seconds without a new checkpoint after which this ends; None: it waits for ever.
        poll: seconds between two looks.
    """
    # What has come since `first` was looked up is new, and what is being written is not there yet.
    first = [path for path in first if tf.io.gfile.exists(f"{path}.index")]
    seen = {checkpoint_files.step_of(path) for path in first}
    begin = min(seen, default=-1)
    yield from first
    since, waiting = time.monotonic(), False
    while goal is None or max(seen, default=-1) < goal:
        new = _new(model_dir, seen, begin)
        for step in sorted(new):
            seen.add(step)
            yield new[step]
            since, waiting = time.monotonic(), False
        if new:
            continue
        if timeout is not None and time.monotonic() - since >= timeout:
            console.say(f"No new checkpoint in {model_dir} for {timeout:g} s: the waiting ends")
            return
        if not waiting:
            _say_waiting(model_dir, goal)
            waiting = True
        time.sleep(poll)


def _new(model_dir, seen, begin):
    """Step -> path of the checkpoints behind `begin` that are written to the end."""
    found = checkpoint_files.list_checkpoints(model_dir)
    return {
        step: path
        for step, path in found.items()
        # The index comes last.
        if step > begin
        and step not in seen
        and tf.io.gfile.exists(f"{path}.index")
        and checkpoint_files.is_whole(path)
    }


def _say_waiting(model_dir, goal):
    end = f"until step {goal:,}" if goal is not None else "until you end it (Ctrl-C)"
    console.say(f"Waiting for checkpoints in {model_dir}, {end}")
