"""Warmup, a constant rate, and a decay at the end of the run: a trapezoid."""

from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from primer.errors import UsageError
from primer.schedules import curves, settings


@gin.configurable
def wsd_schedule(
    step: Any,
    total_train_steps: int,
    learning_rate: float,
    warmup_steps: float = 0,
    initial_fraction: float = 0.0,
    decay_steps: float | None = None,
    final_fraction: float = 0.0,
    cooldown_steps: float = 0.1,
    cooldown_form: str = "linear",
) -> tf.Tensor:
    """Returns the rate of MiniCPM (https://arxiv.org/abs/2404.06395, section 4).

    A checkpoint from before the decay can be trained on for any number of steps. For the forms of
    the decay see https://arxiv.org/abs/2405.18392, where "1-sqrt" is best.

    Args:
        step: the step, a TensorFlow scalar from 0.
        total_train_steps: the steps of the run.
        learning_rate: the highest rate.
        warmup_steps: steps, or up to 1 a fraction of the run, of a linear rise.
        initial_fraction: the rate of step 0 as a fraction of the highest.
        decay_steps: the step, or the fraction of the run, at which the decay ends; None: its end.
        final_fraction: the rate from then on as a fraction of the highest.
        cooldown_steps: the steps of the decay, or a fraction of the run; 0 for no decay.
        cooldown_form: the form of the decay, a name of `curves.FORMS`.

    Raises:
        UsageError: a setting has no such value, or the phases are longer than `decay_steps`.
    """
    phases = settings.phases(
        total_train_steps,
        learning_rate,
        warmup_steps,
        initial_fraction,
        decay_steps,
        final_fraction,
    )
    length = settings.steps("cooldown_steps", cooldown_steps, total_train_steps)
    if not length:
        return curves.rise_and_decay(step, phases, lambda done, final: tf.ones_like(done))
    start = phases.end - length
    if start < phases.warmup:
        message = (
            f"cooldown_steps = {cooldown_steps!r} starts at step {settings.count(start)}, before "
            f"the end of warmup_steps = {warmup_steps!r}, step {settings.count(phases.warmup)}"
        )
        if decay_steps is not None:
            raise UsageError(f"{message}: expected both together to be no longer than decay_steps")
        graph_marks.add_remark(f"{message}; it starts there, as the run is short.")

    def fall(done: tf.Tensor, final: float) -> tf.Tensor:
        return curves.decay(cooldown_form, done, final, "cooldown_form")

    return curves.rise_and_decay(step, phases, fall, max(start, phases.warmup))
