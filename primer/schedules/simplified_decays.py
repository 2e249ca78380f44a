"""WSD-S: one run with a decay at each of several lengths, each a finished model."""

from collections.abc import Sequence
from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from primer.schedules import curves, settings


@gin.configurable
def wsd_s_schedule(
    step: Any,
    total_train_steps: int,
    learning_rate: float,
    warmup_steps: float = 0,
    initial_fraction: float = 0.0,
    final_fraction: float = 0.0,
    cooldown_steps: float = 0.1,
    cooldown_form: str = "linear",
    decay_ends: Sequence[float] = (0.25, 0.5, 1.0),
) -> tf.Tensor:
    """Returns the rate of WSD-S (https://arxiv.org/abs/2410.05192, section 5).

    Training goes on from each decayed model at the highest rate, so no step is for one length only.

    Args:
        step: the step, a TensorFlow scalar from 0.
        total_train_steps: the steps of the run.
        learning_rate: the highest rate.
        warmup_steps: steps, or up to 1 a fraction of the run, of a linear rise.
        initial_fraction: the rate of step 0 as a fraction of the highest.
        final_fraction: the rate at the end of each decay as a fraction of the highest.
        cooldown_steps: the steps of each decay, or up to 1 a fraction of the steps before its end.
        cooldown_form: the form of the decays, a name of `curves.FORMS`; the paper's is "inverse".
        decay_ends: the steps, or fractions of the run, at which decays end, in increasing order.
            From the last on the rate stays.

    Raises:
        UsageError: a setting has no such value.
    """
    phases = settings.phases(
        total_train_steps, learning_rate, warmup_steps, initial_fraction, None, final_fraction
    )
    ends = settings.increasing("wsd_s_schedule.decay_ends", decay_ends, total_train_steps)
    if ends[-1] < total_train_steps:
        graph_marks.add_remark(
            f"wsd_s_schedule.decay_ends = {decay_ends!r}: the learning rate has its final value "
            f"from step {settings.count(ends[-1])} to the end of the run, step "
            f"{settings.count(total_train_steps)}."
        )
    step = curves.as_double(step)
    fall = tf.ones_like(step)
    for start, end in _intervals(ends, cooldown_steps, phases.warmup):
        done = curves.progress(step, start, end)
        decayed = curves.decay(cooldown_form, done, phases.final, "cooldown_form")
        fall *= decayed if end == ends[-1] else tf.where(step > end, tf.ones_like(step), decayed)
    rise = curves.warmup_factor(step, phases.warmup, phases.initial)
    return curves.as_rate(phases.peak * rise * fall)


def _intervals(ends, cooldown_steps, warmup):
    """Returns (start, end) of each decay; none starts in the warmup or in the decay before it."""
    found = []
    earliest = warmup
    for end in ends:
        start = max(end - settings.steps("cooldown_steps", cooldown_steps, end), earliest)
        if start < end:
            found.append((start, end))
        if start == earliest:
            graph_marks.add_remark(
                f"cooldown_steps = {cooldown_steps!r}: the decay that ends at step "
                f"{settings.count(end)} has no constant rate before it, or no room at all."
            )
        earliest = max(end, earliest)
    return found
