"""The constant learning rate, after an optional warmup."""

from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.schedules import curves, settings


@gin.configurable
def constant_schedule(
    step: Any,
    total_train_steps: int,
    learning_rate: float,
    warmup_steps: float = 0,
    initial_fraction: float = 0.0,
) -> tf.Tensor:
    """Returns the same rate at every step after the warmup.

    Args:
        step: the step, a TensorFlow scalar from 0.
        total_train_steps: the steps of the run.
        learning_rate: the rate.
        warmup_steps: steps, or up to 1 a fraction of the run, of a linear rise.
        initial_fraction: the rate of step 0 as a fraction of the rate.

    Raises:
        UsageError: a setting has no such value.
    """
    phases = settings.phases(total_train_steps, learning_rate, warmup_steps, initial_fraction)
    rise = curves.warmup_factor(curves.as_double(step), phases.warmup, phases.initial)
    return curves.as_rate(phases.peak * rise)
