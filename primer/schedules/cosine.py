"""Warmup, then half a cosine, as GPT-3 and most later language models are trained."""

from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.schedules import curves, settings


@gin.configurable
def cosine_schedule(
    step: Any,
    total_train_steps: int,
    learning_rate: float,
    warmup_steps: float = 0,
    initial_fraction: float = 0.0,
    decay_steps: float | None = None,
    final_fraction: float = 0.0,
) -> tf.Tensor:
    """Returns the rate of GPT-3 (https://arxiv.org/abs/2005.14165, appendix B) and of nanoGPT.

    With p the share of the steps from the warmup's end to `decay_steps` that are done, the rate is

        learning_rate * (final_fraction + (1 - final_fraction) * (1 + cos(pi p)) / 2)

    Args:
        step: the step, a TensorFlow scalar from 0.
        total_train_steps: the steps of the run.
        learning_rate: the highest rate, at the end of the warmup.
        warmup_steps: steps, or up to 1 a fraction of the run, of a linear rise.
        initial_fraction: the rate of step 0 as a fraction of the highest.
        decay_steps: the step, or the fraction of the run, at which the decay ends; None: its end.
        final_fraction: the rate from then on as a fraction of the highest.

    Raises:
        UsageError: a setting has no such value, or the warmup ends after the decay.
    """
    phases = settings.phases(
        total_train_steps,
        learning_rate,
        warmup_steps,
        initial_fraction,
        decay_steps,
        final_fraction,
    )
    return curves.rise_and_decay(step, phases, curves.FORMS["cosine"])
