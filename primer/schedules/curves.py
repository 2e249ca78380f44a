"""The parts of learning-rate curves: warmup, the progress of a decay, and its form.

All take steps in float64: in float32 the shares of 10 million steps would be rounded.
"""

import math
from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.schedules.settings import Phases


def as_double(step: Any) -> tf.Tensor:
    """Returns a step, a number or a TensorFlow scalar, in float64."""
    return tf.cast(step, tf.float64)


def as_rate(rate: tf.Tensor) -> tf.Tensor:
    """Returns a learning rate in float32, as optimizers take it."""
    return tf.cast(rate, tf.float32)


def warmup_factor(step: tf.Tensor, warmup: float, initial: float = 0.0) -> tf.Tensor:
    """Returns what rises linearly from `initial` at step 0 to 1 at step `warmup`, then stays 1."""
    return initial + (1 - initial) * progress(step, 0.0, warmup)


def progress(step: tf.Tensor, start: float, end: float) -> tf.Tensor:
    """Returns what rises linearly from 0 at step `start` to 1 at step `end`.

    A rise without a step is a jump at `end`.
    """
    if end <= start:
        return tf.cast(step >= end, tf.float64)
    return tf.clip_by_value((step - start) / (end - start), 0.0, 1.0)


def of_shape(shape: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor, float], tf.Tensor]:
    """Returns the decay from 1 to `final` whose shape is a function from 1 to 0."""
    return lambda done, final: final + (1 - final) * shape(done)


# Form of a decay -> a function (progress from 0 to 1, final value) that falls from 1 to it.
FORMS: dict[str, Callable[[tf.Tensor, float], tf.Tensor]] = {
    "linear": of_shape(lambda done: 1 - done),
    "cosine": of_shape(lambda done: 0.5 * (1 + tf.cos(math.pi * done))),
    "1-sqrt": of_shape(lambda done: 1 - tf.sqrt(done)),
    # The logarithm of the rate changes evenly (MiniCPM, https://arxiv.org/abs/2404.06395), or its
    # inverse (WSD-S, https://arxiv.org/abs/2410.05192).
    "exponential": lambda done, final: tf.exp(math.log(final) * done),
    "inverse": lambda done, final: 1 / (done / final + 1 - done),
}


def decay(form: str, done: tf.Tensor, final: float, setting: str) -> tf.Tensor:
    """Returns the decay of a form.

    Args:
        form: a name of FORMS.
        done: the progress of the decay, from 0 to 1.
        final: the value at its end; at the beginning it is 1.
        setting: the name of the setting that has the form.

    Raises:
        UsageError: an unknown form, or one that cannot end at 0.
    """
    if form not in FORMS:
        raise UsageError(f"{setting} = {form!r}: expected one of {', '.join(FORMS)}")
    if form in ("exponential", "inverse") and not final:
        raise UsageError(
            f'{setting} = "{form}" cannot end at 0: set final_learning_rate_fraction above 0'
        )
    return FORMS[form](done, final)


def rise_and_decay(
    step: Any,
    phases: Phases,
    fall: Callable[[tf.Tensor, float], tf.Tensor],
    start: float | None = None,
) -> tf.Tensor:
    """Returns the rate of a schedule that rises to its peak and then decays to its end.

    Args:
        step: the step.
        phases: the phases.
        fall: the form of the decay, as those of FORMS.
        start: the step at which the decay begins; None: the end of the warmup.
    """
    step = as_double(step)
    done = progress(step, phases.warmup if start is None else start, phases.end)
    rise = warmup_factor(step, phases.warmup, phases.initial)
    return as_rate(phases.peak * rise * fall(done, phases.final))
