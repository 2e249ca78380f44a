"""Transformer-XL's schedules: half a cosine over all steps, or an inverse square root."""

import math
from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.schedules import curves, settings

NAME = "transformer_xl_schedule"


@gin.configurable
def transformer_xl_schedule(
    step: Any,
    total_train_steps: int,
    learning_rate: float,
    warmup_steps: float = 0,
    decay_steps: float | None = None,
    final_fraction: float = 0.0,
    form: str = "cosine",
) -> tf.Tensor:
    """Returns the rate of kimiyoung/transformer-xl, `pytorch/train.py`, and of FastMoE's copy.

    With t the step, w `warmup_steps`, T `decay_steps` and f `final_fraction`, the rate is
    learning_rate * t / w while t < w, and from then on

        cosine     learning_rate * (f + (1 - f) * (1 + cos(pi t / T)) / 2)
        constant   learning_rate

    The cosine is torch's CosineAnnealingLR with T_max = T: a function of the step itself, so that
    the rate falls from `learning_rate` to the cosine where the warmup ends, by a little if the
    warmup is short. `inv_sqrt` has no such place:

        inv_sqrt   learning_rate * min(t / w^1.5, 1 / sqrt(t)), 1 in place of 1 / sqrt(0)

    Their first update of a run with warmup has the full rate, as they set the rate behind an
    update; here it has that of step 0. Their cosine rises again behind T; here it stays.

    Args:
        step: the step, a TensorFlow scalar from 0.
        total_train_steps: the steps of the run.
        learning_rate: `lr`; the highest rate of a run without warmup. With inv_sqrt it is no rate:
            the highest is learning_rate / sqrt(w).
        warmup_steps: `warmup_step`: steps, or up to 1 a fraction of the run.
        decay_steps: `max_step`: the step, or the fraction of the run, at which the cosine ends;
            None: the end of the run.
        final_fraction: `eta_min` as a fraction of `learning_rate`.
        form: `scheduler`: "cosine", "inv_sqrt" or "constant".

    Raises:
        UsageError: a setting has no such value, or the warmup ends after the decay.
    """
    if form not in FORMS:
        raise UsageError(f"{NAME}.form = {form!r}: expected one of {', '.join(FORMS)}")
    phases = settings.phases(
        total_train_steps,
        learning_rate,
        warmup_steps,
        0.0,
        decay_steps if form == "cosine" else None,
        final_fraction,
    )
    return curves.as_rate(phases.peak * FORMS[form](curves.as_double(step), phases))


def _warmed_up(step, warmup, factor):
    """Returns the line from 0 to 1, and `factor` from step `warmup` on."""
    if not warmup:
        return factor
    return tf.where(step < warmup, step / warmup, factor)


def _cosine(step, phases):
    done = curves.progress(step, 0.0, phases.end)
    factor = curves.FORMS["cosine"](done, phases.final)
    return _warmed_up(step, phases.warmup, factor)


def _constant(step, phases):
    return _warmed_up(step, phases.warmup, tf.ones_like(step))


def _inverse_sqrt(step, phases):
    root = tf.rsqrt(tf.maximum(step, 1.0))
    if not phases.warmup:
        return root
    return tf.where(step > phases.warmup, root, step / math.pow(phases.warmup, 1.5))


# Form -> a function of the step, in float64, and the phases: the rate as a multiple of the peak.
FORMS = {"cosine": _cosine, "inv_sqrt": _inverse_sqrt, "constant": _constant}
