"""The seconds that a run of a sweep has taken until a checkpoint, from the starts in `run.json`."""

import datetime
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

FIRST_STEP = "first_step_ended"  # Of a start, besides "began" and "ended".


def seconds_until(checkpoint: str, starts: Sequence[Mapping[str, Any]]) -> float:
    """Returns the seconds of a sweep's run until a checkpoint was written.

    The building of the graph, and steps that are repeated after a kill, are among them; of a start
    that has FIRST_STEP the seconds count from there. A copy of a checkpoint has a time outside the
    run's starts, or none: nan.

    Args:
        checkpoint: the path of its index.
        starts: those of the run's record.
    """
    try:
        written = os.path.getmtime(checkpoint)
        began = [timestamp(start.get(FIRST_STEP, start["began"])) for start in starts]
        before = 0.0
        for start, first, following in zip(starts, began, [*began[1:], math.inf]):
            # A kill records no end; how long that start went on is not known.
            end = timestamp(start["ended"]) if "ended" in start else math.nan
            if first <= written <= (following if math.isnan(end) else end + 1):
                return before + written - first
            before += end - first
    except (OSError, KeyError, ValueError, TypeError):
        pass
    return math.nan


def timestamp(text: str) -> float:
    """Returns a time of a record as seconds; records have whole seconds."""
    return datetime.datetime.fromisoformat(text).timestamp()
