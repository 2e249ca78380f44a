"""The profile of a few steps of training (`primer train --profile N`): which, and who reports it.

The runtime does not import `primer.profiling`, which registers what it reports with
`primer.runtime.callbacks.set_profiler`.
"""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import gin

from primer.common import checks
from primer.errors import UsageError
from primer.runtime import callbacks
from primer.runtime.training.profiling import timed_steps

SETTING = "profile.steps (--profile)"


@gin.configurable("profile", module="primer")
def profile_settings(
    steps: int | None = None, warm_up: int = timed_steps.WARM_UP
) -> timed_steps.TimedSteps | None:
    """Returns the steps of training that are profiled, or None for none.

    Args:
        steps: how many steps are traced, and as many timed without a trace; None: none.
        warm_up: how many steps of the command run before them.

    Raises:
        UsageError: a value is not valid.
    """
    if steps is None:
        return None
    checks.whole_number(SETTING, steps)
    checks.whole_number("profile.warm_up", warm_up)
    return timed_steps.TimedSteps(steps, warm_up)


class ProfiledSteps:
    """Runs the steps of training, and has some of them profiled.

    Args:
        estimator: the LocalEstimator that trains.
        start, goal: the first and the last step of the command.

    Raises:
        UsageError: the steps do not suffice, or nothing registered a profiler.
    """

    def __init__(self, estimator: Any, start: int, goal: int) -> None:
        self._steps = profile_settings()
        self._profiler: callbacks.Profiler | None = None
        if self._steps is None:
            return
        number, needed, left = self._steps.number, self._steps.total, goal - start
        if left < needed:
            raise UsageError(
                f"{SETTING} = {number}: needs {needed} steps ({self._steps.warm_up} to warm up, "
                f"then {number} untraced and {number} traced ones), and {left} are left up to "
                f"utils.run.train_steps = {goal}: train longer, or set profile.warm_up lower"
            )
        factory = callbacks.profiler_factory()
        if factory is None:
            raise UsageError(
                f"{SETTING} = {number}: no profiler is registered; give --module_import=t5_imports"
            )
        self._profiler = factory(estimator)

    def building(self) -> AbstractContextManager[None]:
        """Returns the context in which the graph of a step is built."""
        return self._profiler.building() if self._profiler else contextlib.nullcontext()

    def run(self, run: Callable[..., Any]) -> Any:
        """Runs a step and returns its values.

        Args:
            run: runs a step, with the arguments `options` and `run_metadata` of a session's run.
        """
        if self._steps is None or self._profiler is None:
            return run()
        return self._steps.run(
            lambda options, metadata: run(options=options, run_metadata=metadata)
        )

    def report(
        self, step: int, batch: Sequence[int], hidden: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        """Reports the profile after its last step.

        Args:
            step: the step that has ended.
            batch: the sizes of a batch, `[rows, length]`.
            hidden: returns a context without the line of progress.
        """
        if self._steps and self._profiler and self._steps.is_complete:
            with hidden():
                self._profiler.report(self._steps, step, batch)
            self._steps = self._profiler = None  # The traces and the Mesh-TF graph are large.
