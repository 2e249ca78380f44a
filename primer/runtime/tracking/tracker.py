"""Trackers: services that show the numbers of runs, told while a run trains.

    primer train ... --tracker wandb
    tracking.tracker = @MyTracker()       # or another class, of a module of yours

A tracker is a class with the methods of `Tracker`, of which gin makes an object with the settings
that gin binds. Its constructor, which is called before anything long begins, raises UsageError for
a package or a setting that is missing. It gets what the events of training have, at the same steps,
and the results of validation.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import gin

from primer.common import console
from primer.common.files import first_line
from primer.errors import RunError, UsageError
from primer.gin_config import gin_state
from primer.runtime import callbacks


class TrackedRun(NamedTuple):
    """A run as a tracker is told of it.

    Attributes:
        model_dir: its directory; a tracker may keep its own file there.
        start: the step at which the session begins; above 0 where a run resumes.
        config: all gin bindings, {"Class.parameter": value}; what is no number, text, truth value
            or None is text, as gin writes it.
    """

    model_dir: str
    start: int
    config: Mapping[str, Any]


class Tracker(Protocol):
    """What a class for a service has to have."""

    def open(self, run: TrackedRun) -> None:
        """Begins a session, or goes on with that of an earlier session of the same run.

        Raises:
            RunError: the service refuses the run.
        """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Takes finite numbers of a step; steps do not fall within a session."""

    def close(self, failed: bool) -> None:
        """Ends the session.

        Args:
            failed: whether an error ends it.
        """


@gin.configurable("tracking", module="primer")
def chosen_tracker(tracker: Tracker | None = None) -> Tracker | None:
    """Returns the tracker that gin makes, or None.

    Args:
        tracker: as `@WandbTracker()`.

    Raises:
        UsageError: it is no tracker.
    """
    if tracker is None:
        return None
    missing = [name for name in ("open", "log", "close") if not hasattr(tracker, name)]
    if missing:
        raise UsageError(
            f"tracking.tracker is {tracker!r}, without {', '.join(missing)}; expected an object "
            "with open, log and close, as @WandbTracker() (with the brackets)"
        )
    return tracker


@callbacks.before_run
def check(mode: str) -> None:
    """Raises UsageError where training has a tracker that cannot be made."""
    if mode == "train":
        chosen_tracker()


class Tracking:
    """Tells the chosen tracker of a run; without one it does nothing.

    An error of the tracker at the beginning ends the run. A later one is printed once, and training
    goes on without the tracker.
    """

    def __init__(self, tracker: Tracker | None = None) -> None:
        self._tracker = tracker

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Passes the numbers of a step that are finite."""
        if self._tracker is None:
            return
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        try:
            self._tracker.log(step, finite)
        except Exception as error:  # Of a service that is not this run's purpose.
            console.say(f"The tracker failed at step {step:,}, and is told no more: {_said(error)}")
            self._tracker = None

    def close(self, failed: bool) -> None:
        """Ends the session, as `Tracker.close`."""
        tracker, self._tracker = self._tracker, None
        if tracker is None:
            return
        try:
            tracker.close(failed)
        except Exception as error:
            console.say(f"The tracker failed at its end: {_said(error)}")


def _said(error):
    return f"{type(error).__name__}: {first_line(error)}"


@contextlib.contextmanager
def opened(model_dir: str, start: int) -> Iterator[Tracking]:
    """A context in which a run is tracked; yields what passes its numbers on.

    Args:
        model_dir, start: as of `TrackedRun`.

    Raises:
        UsageError: a setting or a package is missing.
        RunError: the service refuses the run.
    """
    tracker = chosen_tracker()
    if tracker is not None:
        try:
            tracker.open(TrackedRun(model_dir, start, gin_values()))
        except (UsageError, RunError):
            raise
        except Exception as error:
            raise RunError(
                f"the tracker of tracking.tracker (--tracker) does not begin: {_said(error)}; "
                "without it, leave the setting out"
            ) from error
    tracking = Tracking(tracker)
    failed = True
    try:
        yield tracking
        failed = False
    finally:
        tracking.close(failed)


def gin_values() -> dict[str, Any]:
    """Returns all of gin's bindings, as `TrackedRun.config`."""
    found: dict[str, Any] = {}
    for (scope, selector), values in gin_state.bindings().items():
        if selector == gin_state.MACRO:
            found[scope] = _plain(values.get("value"))
            continue
        name = selector.rpartition(".")[2]
        prefix = f"{scope}/{name}" if scope else name
        found |= {f"{prefix}.{key}": _plain(value) for key, value in values.items()}
    return dict(sorted(found.items()))


def _plain(value):
    return value if isinstance(value, bool | int | float | str | None) else repr(value)
