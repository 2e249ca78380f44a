"""The callback that profiling adds to a run of training; `t5_imports` imports this module."""

from typing import Any

from primer.runtime import callbacks


def make_profiler(estimator: Any) -> callbacks.Profiler:
    """Returns the profiler of a run.

    Args:
        estimator: the LocalEstimator that trains.
    """
    from primer.profiling import training_profiler  # Few runs have a profile.

    return training_profiler.TrainingProfiler(estimator)


callbacks.set_profiler(make_profiler)
