"""A constant rate in each of several pieces of the run."""

from collections.abc import Sequence
from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.schedules import curves, settings

NAME = "piecewise_schedule"


@gin.configurable
def piecewise_schedule(
    step: Any,
    total_train_steps: int,
    learning_rate: float,
    warmup_steps: float = 0,
    initial_fraction: float = 0.0,
    boundaries: Sequence[float] = (0.8, 0.9),
    factors: Sequence[float] = (1.0, 0.316, 0.1),
    values: Sequence[float] | None = None,
) -> tf.Tensor:
    """Returns a rate with steps, by default those of DeepSeek LLM.

    DeepSeek LLM (https://arxiv.org/abs/2401.02954, section 2.3) falls to 31.6% of the highest rate
    after 80% of the run and to 10% after 90%, which ends where a cosine does, and lets the first
    part be shared by longer runs.

    Args:
        step: the step, a TensorFlow scalar from 0.
        total_train_steps: the steps of the run.
        learning_rate: the highest rate; not read with `values`.
        warmup_steps: steps, or up to 1 a fraction of the run, of a linear rise.
        initial_fraction: the rate of step 0 as a fraction of that of the first piece.
        boundaries: the first steps of all pieces but the first, or fractions of the run.
        factors: the rate of each piece as a multiple of learning_rate; one more than boundaries.
        values: the rate of each piece itself, in place of `factors`.

    Raises:
        UsageError: a setting has no such value.
    """
    starts = settings.increasing(f"{NAME}.boundaries", boundaries, total_train_steps)
    peak = 1.0 if values is not None else learning_rate
    phases = settings.phases(total_train_steps, peak, warmup_steps, initial_fraction)
    setting, numbers = ("factors", factors) if values is None else ("values", values)
    if not isinstance(numbers, (list, tuple)) or len(numbers) != len(starts) + 1:
        raise UsageError(
            f"{NAME}.{setting} = {numbers!r}: expected {len(starts) + 1} numbers, one more than "
            f"{NAME}.boundaries has"
        )
    for number in numbers:
        settings.rate(f"{NAME}.{setting}", number)
    step = curves.as_double(step)
    piece = tf.fill(tf.shape(step), tf.constant(numbers[0], tf.float64))
    for start, number in zip(starts, numbers[1:], strict=True):
        piece = tf.where(step >= start, tf.fill(tf.shape(step), tf.cast(number, tf.float64)), piece)
    rise = curves.warmup_factor(step, phases.warmup, phases.initial)
    return curves.as_rate(phases.peak * rise * piece)
