"""The profile of `--profile` in training."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from primer.common import build_mode, console
from primer.profiling import profile, protocol, tables, trace_files
from primer.profiling.recorded_graph import RecordedGraph
from primer.runtime import cluster, precision, session
from primer.runtime.training import run_cost
from primer.runtime.training.profiling.timed_steps import TimedSteps

FOLDER = "profile"


class TrainingProfiler:
    """Reports where the time of a step of training goes.

    Args:
        estimator: the LocalEstimator that trains.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._graph = RecordedGraph(estimator.model)

    def building(self) -> AbstractContextManager[None]:
        """Returns the context in which the graph of the step is built."""
        return self._graph.recording()

    def report(self, steps: TimedSteps, step: int, batch: Sequence[int]) -> None:
        """Prints the profile and writes its files to `model_dir/profile`.

        Args:
            steps: the times and traces.
            step: the last one of them.
            batch: the sizes of a batch, `[rows, length]`.
        """
        directory = os.path.join(self._estimator.model_dir, FOLDER)
        found = profile.of_steps(self._graph, steps, self._setting(batch))
        tables.print_profile(found, console.terminal())
        names = trace_files.write(directory, found, steps.traces, self._graph.graph)
        first = step - 2 * steps.number + 1
        console.say(
            f"Profile of the steps {first:,} to {step:,}: {', '.join(names)} and events for "
            f"TensorBoard in {directory}"
        )

    def _setting(self, batch: Sequence[int]) -> protocol.Setting:
        with build_mode.building("train"):
            dtype, _ = precision.precision()
        device = run_cost.device_of(self._estimator.settings, cluster.from_environment())
        config = session.estimator_config(self._estimator)
        return protocol.Setting("train", tuple(batch), dtype, device, config)
