"""The inverse square root of the step: T5's schedule, and the Transformer's."""

import math
from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.schedules import curves, settings


@gin.configurable
def inverse_sqrt_schedule(
    step: Any,
    total_train_steps: int,
    learning_rate: float,
    warmup_steps: float = 10000,
    initial_fraction: float = 0.0,
    decay_steps: float | None = None,
    final_fraction: float = 0.0,
    cooldown_steps: float = 0,
    cooldown_form: str = "linear",
) -> tf.Tensor:
    """Returns a rate that does not depend on the length of the run before the cooldown.

    The rate is, after the warmup to `learning_rate`,

        r(step) = learning_rate * sqrt(warmup_steps / max(step, warmup_steps))

    With learning_rate 0.01, 10,000 warmup steps and initial_fraction 1 that is Mesh-TensorFlow's
    truncated_rsqrt, and with a linear cooldown over a tenth of the run to 0 T5's
    learning_rate_schedule_noam (https://arxiv.org/abs/1910.10683, section 3.1.2). With
    initial_fraction 0 it is the Transformer's (https://arxiv.org/abs/1706.03762, equation 3). For
    the cooldown see https://arxiv.org/abs/2106.04560; it ends at final_fraction * learning_rate, or
    at r where that is lower.

    Args:
        step: the step, a TensorFlow scalar from 0.
        total_train_steps: the steps of the run.
        learning_rate: the highest rate.
        warmup_steps: steps, or up to 1 a fraction of the run; the root starts from it.
        initial_fraction: the rate of step 0 as a fraction of the highest.
        decay_steps: the step, or the fraction of the run, at which the cooldown ends; None: its
            end. No meaning without a cooldown.
        final_fraction: the rate from then on as a fraction of the highest.
        cooldown_steps: steps, or a fraction of the run; 0 for no cooldown.
        cooldown_form: the form of the cooldown, a name of `curves.FORMS`.

    Raises:
        UsageError: a setting has no such value, or the warmup ends after the decay.
    """
    length = settings.steps("cooldown_steps", cooldown_steps, total_train_steps)
    phases = settings.phases(
        total_train_steps,
        learning_rate,
        warmup_steps,
        initial_fraction,
        decay_steps if length else None,
        final_fraction,
    )
    if not phases.warmup:
        raise UsageError(
            "warmup_steps = 0: expected steps above 0, as the inverse square root starts from them"
        )
    step = curves.as_double(step)
    rise = curves.warmup_factor(step, phases.warmup, phases.initial)
    end = total_train_steps if decay_steps is None else phases.end
    lowest = min(phases.final, math.sqrt(phases.warmup / max(end, phases.warmup)))
    if not length or lowest == 1:
        return curves.as_rate(phases.peak * rise * _root(step, phases.warmup))
    root = _root(tf.minimum(step, end), phases.warmup)
    done = curves.progress(step, end - length, end)
    # The share of the way from the root down to the lowest value that is left.
    left = (curves.decay(cooldown_form, done, lowest, "cooldown_form") - lowest) / (1 - lowest)
    return curves.as_rate(phases.peak * rise * (lowest + (root - lowest) * left))


def _root(step, warmup):
    return tf.sqrt(warmup / tf.maximum(step, warmup))
