"""GPT-Neo's schedule: the decay begins at step 0, and the warmup multiplies it."""

from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.schedules import curves, settings


@gin.configurable
def gpt_neo_schedule(
    step: Any,
    total_train_steps: int,
    learning_rate: float,
    warmup_steps: float = 3000,
    decay_steps: float | None = None,
    final_fraction: float = 0.1,
    form: str = "cosine",
) -> tf.Tensor:
    """Returns the rate of EleutherAI/gpt-neo, `optimizers.py`.

    With decay(p) from 1 to `final_fraction` along half a cosine or a line, the rate is

        learning_rate * min(1, step / warmup_steps) * decay(min(1, step / decay_steps))

    so the highest rate is below `learning_rate`, by little where the warmup is short.

    Args:
        step: the step, a TensorFlow scalar from 0.
        total_train_steps: the steps of the run.
        learning_rate: the rate before warmup and decay.
        warmup_steps: steps, or up to 1 a fraction of the run.
        decay_steps: the step, or the fraction of the run, at which the decay ends; None: its end.
        final_fraction: the rate from then on as a fraction of `learning_rate`.
        form: of the decay, "cosine" or "linear" (`lr_decay` in GPT-Neo's configurations).

    Raises:
        UsageError: a setting has no such value, or the warmup ends after the decay.
    """
    phases = settings.phases(
        total_train_steps, learning_rate, warmup_steps, 0.0, decay_steps, final_fraction
    )
    step = curves.as_double(step)
    # Not phases.end, which is no earlier than the warmup's end.
    end = settings.decay_end(decay_steps, total_train_steps)
    done = curves.progress(step, 0.0, end)
    decayed = curves.decay(form, done, phases.final, "gpt_neo_schedule.form")
    return curves.as_rate(phases.peak * curves.warmup_factor(step, phases.warmup) * decayed)
