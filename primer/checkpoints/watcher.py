"""Waits for the checkpoints of a run that is training."""

import time
from collections.abc import Iterator, Sequence

from primer.checkpoints import checkpoint_files, model_directory
from primer.common import console

# Seconds between two listings of the directory.
POLL_SECONDS = 2.0


def watch_checkpoints(
    model_dir: str,
    first: Sequence[str],
    goal: int | None = None,
    timeout: float | None = None,
    poll: float = POLL_SECONDS,
) -> Iterator[str]:
    """Yields the paths of checkpoints: the first ones, then each new one.

    Of several that were written since the last listing all are yielded, in the order of their
    steps, also those that have been deleted since. This ends too where the run has recorded that it
    stopped early.

    Args:
        model_dir: the directory of the run.
        first: paths of existing checkpoints to begin with.
        goal: the last step of the run, after which this ends; None if it is unknown.
        timeout: seconds without a new checkpoint after which this ends; None: never.
        poll: seconds between two listings of the directory.
    """
    # Checkpoints whose index is not written yet come later, as new ones.
    first = [path for path in first if checkpoint_files.has_index(path)]
    seen = {checkpoint_files.step_of(path) for path in first}
    begin = min(seen, default=-1)
    yield from first
    last_time, is_announced = time.monotonic(), False
    while goal is None or max(seen, default=-1) < goal:
        stopped = model_directory.early_end(model_dir)  # Before the listing: it has all files then.
        new = _new_checkpoints(model_dir, seen, begin)
        for step in sorted(new):
            seen.add(step)
            yield new[step]
            last_time, is_announced = time.monotonic(), False
        if new:
            continue
        if stopped is not None:
            console.say(f"The run in {model_dir} stopped early at step {stopped:,}")
            return
        if timeout is not None and time.monotonic() - last_time >= timeout:
            console.say(f"No new checkpoint in {model_dir} for {timeout:g} s: the waiting ends")
            return
        if not is_announced:
            _announce(model_dir, goal)
            is_announced = True
        time.sleep(poll)


def _new_checkpoints(model_dir, seen, begin):
    """Returns a dict from step to path of the whole checkpoints after `begin` not yet seen."""
    return {
        step: path
        for step, path in checkpoint_files.list_checkpoints(model_dir).items()
        if step > begin
        and step not in seen
        and checkpoint_files.has_index(path)  # It is written last.
        and checkpoint_files.is_whole(path)
    }


def _announce(model_dir, goal):
    end = f"until step {goal:,}" if goal is not None else "until you end it (Ctrl-C)"
    console.say(f"Waiting for checkpoints in {model_dir}, {end}")
