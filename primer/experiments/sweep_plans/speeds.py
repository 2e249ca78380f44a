"""The speed of runs that a sweep has trained already, and how long workers take for runs."""

import heapq
import statistics
from collections.abc import Iterable, Sequence

from primer.experiments.sweeps import run_log, run_record
from primer.experiments.sweeps.expansion import SweepRun


def measured(runs: Sequence[SweepRun], processors: int) -> float | None:
    """Returns the median tokens per second of runs of one graph; None if none was measured.

    Args:
        runs: the runs, trained or not.
        processors: the number of processors of a run; starts on another number do not count.
    """
    found = []
    for run in runs:
        record = run_record.read(run.model_dir)
        speeds = run_log.speeds(run.model_dir) if record else {}
        for number, start in enumerate(record["starts"] if record else [], 1):
            if number in speeds and start.get("processors") == processors:
                found.append(speeds[number])
    return statistics.median(found) if found else None


def share_left(run: SweepRun, steps: int) -> float:
    """Returns which part of a run is not trained yet, from 0 to 1.

    Args:
        run: the run.
        steps: its last step.
    """
    if run_record.state_of(run) == run_record.DONE:
        return 0.0
    return max(0.0, 1 - (run_record.latest_step(run.model_dir) or 0) / steps)


def with_workers(seconds: Iterable[float], workers: int) -> float:
    """Returns how long workers take for runs, each worker the next one when it is free.

    Args:
        seconds: the time of each run, in the order in which they begin.
        workers: their number.
    """
    ends = [0.0] * workers
    for own in seconds:
        heapq.heapreplace(ends, ends[0] + own)
    return max(ends)
