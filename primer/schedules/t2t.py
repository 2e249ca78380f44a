"""Tensor2Tensor's schedules, written as it writes them: a product of factors."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.common import checks, graph_marks
from primer.errors import UsageError
from primer.schedules import curves, settings, t2t_legacy
from primer.schedules.t2t_legacy import Settings, needs_warmup

NAME = "t2t_schedule"


@gin.configurable
def t2t_schedule(
    step: Any,
    total_train_steps: int,
    learning_rate: float,
    factors: str = "constant * linear_warmup * rsqrt_decay * rsqrt_hidden_size",
    warmup_steps: float = 8000,
    decay_steps: float | None = None,
    hidden_size: Any = None,
    decay_rate: float = 1.0,
    staircase: bool = False,
    scheme: str = "noam",
    cycle_steps: float = 250000,
    boundaries: Sequence[float] = (),
    multiples: Sequence[float] = (),
    legacy_factor: float = 1.0,
) -> tf.Tensor:
    """Returns the rate of tensor2tensor, `utils/learning_rate.py`; its settings have its names.

    With t the step, w `warmup_steps`, D `decay_steps` and T the steps of the run, the factors are

        constant                 learning_rate
        linear_warmup            min(1, t / w)
        rsqrt_decay              1 / sqrt(max(t, w))
        rsqrt_normalized_decay   sqrt(w / max(t, w))
        rsqrt_hidden_size        1 / sqrt(hidden_size)
        linear_decay             (T - t) / D, from 0 to 1: D is the length of the decay
        cosdecay                 (1 + cos(pi p)) / 2, p from 0 at w to 1 at D
        single_cycle_cos_decay   the same, p from 0 at w to 1 at T
        multi_cycle_cos_decay    (1 + cos(pi max(t - w, 0) / D)) / 2, up and down
        exp_decay                decay_rate^(max(t - w, 0) / D)
        legacy                   learning_rate * the rate of `scheme` (`t2t_legacy`)

    Tensor2Tensor's cosdecay jumps where the warmup ends, and both it and single_cycle_cos_decay
    rise again after the end of the run; here they do neither.

    Args:
        step: the step, a TensorFlow scalar from 0.
        total_train_steps: the steps of the run.
        learning_rate: `learning_rate_constant`, and of the legacy schemes `learning_rate`. With the
            default factors it is no rate: the highest is learning_rate / sqrt(w * hidden_size).
        factors: names of factors with `*` between them.
        warmup_steps: steps, or up to 1 a fraction of the run.
        decay_steps: steps, or a fraction of the run; None: the whole run.
        hidden_size: the width of the model.
        decay_rate, staircase: of the exponential decays: its base, and whether it falls in steps.
        scheme: `learning_rate_decay_scheme`, of the factor `legacy`.
        cycle_steps: `learning_rate_cosine_cycle_steps`, of the scheme `cosine`.
        boundaries, multiples: of the scheme `piecewise`: steps, and the multiple from each on.
        legacy_factor: a factor of the legacy schemes; Tensor2Tensor's is 0.002 with Adam, else 1.

    Raises:
        UsageError: an unknown factor or scheme, or a setting has no such value.
    """
    phases = settings.phases(total_train_steps, learning_rate, warmup_steps)
    own = Settings(
        total=total_train_steps,
        rate=phases.peak,
        warmup=phases.warmup,
        decay_steps=decay_steps,
        hidden_size=hidden_size,
        decay_rate=checks.positive_number(f"{NAME}.decay_rate", decay_rate),
        staircase=checks.boolean(f"{NAME}.staircase", staircase),
        scheme=scheme,
        cycle_steps=settings.steps(f"{NAME}.cycle_steps", cycle_steps, total_train_steps),
        boundaries=boundaries,
        multiples=multiples,
        legacy_factor=settings.rate(f"{NAME}.legacy_factor", legacy_factor),
    )
    step = curves.as_double(step)
    product = tf.ones_like(step)
    names = factor_names(factors)
    for name in names:
        product *= FACTORS[name](step, own)
    _remark_on_small_factor(names, own)
    return curves.as_rate(product)


def _remark_on_small_factor(names, own):
    """Adds a remark if the factor `constant` looks like a learning rate beside a root of steps."""
    if {"constant", "rsqrt_decay"} <= set(names) and 0 < own.rate < 0.1:
        width = own.width() if "rsqrt_hidden_size" in names else 1
        graph_marks.add_remark(
            f"learning_rate = {own.rate} is a factor of t2t_schedule: its highest rate is "
            f"{own.rate * (own.warmup * width) ** -0.5:.3g}. Tensor2Tensor's factor is 2.0, as in "
            "recipes/t2t_base.gin."
        )


def factor_names(factors: str) -> list[str]:
    """Returns the names of the factors in a text.

    Raises:
        UsageError: no text, or a name of no factor; the message lists the known ones.
    """
    names = [name.strip() for name in factors.split("*")] if isinstance(factors, str) else [""]
    for name in names:
        if name not in FACTORS:
            raise UsageError(
                f"{NAME}.factors = {factors!r}: {name!r} is no factor; expected a product such as "
                f'"constant * linear_warmup" of {", ".join(FACTORS)}'
            )
    return names


def _rsqrt(step, own):
    needs_warmup("rsqrt_decay", own)
    return tf.rsqrt(tf.maximum(step, own.warmup))


def _rsqrt_normalized(step, own):
    needs_warmup("rsqrt_normalized_decay", own)
    return tf.sqrt(own.warmup / tf.maximum(step, own.warmup))


def _linear_decay(step, own):
    length = own.decay_length()
    return curves.progress(-step, -own.total, -(own.total - length))


def _half_cosine(step, own, end):
    return curves.FORMS["cosine"](curves.progress(step, own.warmup, end), 0.0)


def _waves(step, own):
    # The remainder keeps the argument small, and its cosine exact.
    turns = tf.floormod(tf.maximum(step - own.warmup, 0.0), 2 * own.decay_length())
    return 0.5 * (1 + tf.cos(math.pi * turns / own.decay_length()))


def _exponential(step, own):
    return t2t_legacy.power_of_steps(tf.maximum(step - own.warmup, 0.0), own)


# Factor -> a function of the step, in float64, and the settings.
FACTORS: dict[str, Callable[[tf.Tensor, Settings], Any]] = {
    "constant": lambda step, own: own.rate,
    "linear_warmup": lambda step, own: curves.warmup_factor(step, own.warmup),
    "rsqrt_decay": _rsqrt,
    "rsqrt_normalized_decay": _rsqrt_normalized,
    "rsqrt_hidden_size": lambda step, own: own.width() ** -0.5,
    "linear_decay": _linear_decay,
    "cosdecay": lambda step, own: _half_cosine(
        step, own, settings.decay_end(own.decay_steps, own.total)
    ),
    "single_cycle_cos_decay": lambda step, own: _half_cosine(step, own, own.total),
    "multi_cycle_cos_decay": _waves,
    "exp_decay": _exponential,
    "legacy": t2t_legacy.rate,
}
