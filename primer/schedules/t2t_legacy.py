"""Tensor2Tensor's factor `legacy`: a scheme of decay after an exponential warmup, or Noam's.

With t the step, w the steps of the warmup, and d the width of the model, the schemes are

    noam            5000 * d^-0.5 * min((t + 1) * w^-1.5, (t + 1)^-0.5), its own warmup
    none            1
    exp             decay_rate^((t - w) / decay_steps)
    cosine          (1 + cos(pi t / cycle_steps)) / 2
    cyclelinear10x  from 0.3 to 3.3 and back, each in w steps
    sqrt            500 / sqrt(max(t - w, 1))
    piecewise       1, then each of `multiples` after its boundary

All but noam have the warmup 0.01^((w - t) / w), at whose end most of them jump, as they do in
Tensor2Tensor: they are here so that its settings can be repeated.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.schedules import settings


class Settings(NamedTuple):
    """The settings of `t2t_schedule`; the warmup in steps, the others as they are given."""

    total: float
    rate: float
    warmup: float
    decay_steps: float | None
    hidden_size: Any
    decay_rate: float
    staircase: bool
    scheme: str
    cycle_steps: float
    boundaries: Sequence[float]
    multiples: Sequence[float]
    legacy_factor: float

    def width(self) -> int:
        """Returns the width of the model.

        Raises:
            UsageError: it is not set.
        """
        if isinstance(self.hidden_size, bool) or not isinstance(self.hidden_size, int):
            raise UsageError(
                "t2t_schedule.hidden_size: this schedule depends on the width of the model; set "
                "d_model, or list a file of sizes/"
            )
        return self.hidden_size

    def decay_length(self) -> float:
        """Returns `decay_steps` as a number of steps, the run's if it is not set."""
        if self.decay_steps is None:
            return self.total
        length = settings.steps("decay_steps", self.decay_steps, self.total)
        if not length:
            raise UsageError(f"decay_steps = {self.decay_steps!r}: expected a number above 0")
        return length


def rate(step: tf.Tensor, own: Settings) -> tf.Tensor:
    """Returns the rate of the scheme.

    Args:
        step: the step in float64.
        own: the settings.

    Raises:
        UsageError: an unknown scheme (the message lists the known ones), or a setting has no such
            value.
    """
    if own.scheme != "noam" and own.scheme not in SCHEMES:
        raise UsageError(
            f"t2t_schedule.scheme = {own.scheme!r}: expected one of noam, {', '.join(SCHEMES)}"
        )
    if own.scheme == "noam":
        value = _noam(step, own)
    else:
        value = SCHEMES[own.scheme](step, own)
        if own.warmup:
            left = tf.maximum(own.warmup - step, 0.0) / own.warmup
            value = tf.where(step < own.warmup, tf.exp(math.log(0.01) * left), value)
    return own.rate * own.legacy_factor * value


def needs_warmup(name: str, own: Settings) -> None:
    """Raises UsageError if there is no warmup, which a factor or a scheme starts from."""
    if not own.warmup:
        raise UsageError(f"warmup_steps = 0: expected steps above 0 with {name}")


def power_of_steps(step: tf.Tensor, own: Settings) -> tf.Tensor:
    """Returns decay_rate^(step / decay_steps), with whole exponents if `staircase`."""
    exponent = step / own.decay_length()
    exponent = tf.floor(exponent) if own.staircase else exponent
    return tf.exp(math.log(own.decay_rate) * exponent)


def _noam(step, own):
    needs_warmup("the scheme noam", own)
    first = step + 1
    return 5000 * own.width() ** -0.5 * tf.minimum(first * own.warmup**-1.5, tf.rsqrt(first))


def _cosine(step, own):
    if not own.cycle_steps:
        raise UsageError("t2t_schedule.cycle_steps = 0: expected a number above 0")
    position = tf.floormod(step, 2 * own.cycle_steps)
    return 0.5 * (1 + tf.cos(math.pi * position / own.cycle_steps))


def _cyclelinear10x(step, own):
    needs_warmup("the scheme cyclelinear10x", own)
    position = tf.floormod(step, 2 * own.warmup) / own.warmup - 1
    return (1 - tf.abs(position) + 0.1) * 3


def _piecewise(step, own):
    starts = settings.increasing("t2t_schedule.boundaries", own.boundaries, own.total)
    if len(own.multiples) != len(starts):
        raise UsageError(
            f"t2t_schedule.multiples = {own.multiples!r}: expected {len(starts)} numbers, as many "
            "as t2t_schedule.boundaries has"
        )
    value = tf.ones_like(step)
    for start, multiple in zip(starts, own.multiples, strict=True):
        number = settings.rate("t2t_schedule.multiples", multiple)
        value = tf.where(step > start, tf.ones_like(step) * number, value)
    return value


# Scheme -> a function of the step, in float64, and the settings: the rate after the warmup.
SCHEMES: dict[str, Callable[[tf.Tensor, Settings], tf.Tensor]] = {
    "none": lambda step, own: tf.ones_like(step),
    "exp": lambda step, own: power_of_steps(step - own.warmup, own),
    "cosine": _cosine,
    "cyclelinear10x": _cyclelinear10x,
    "sqrt": lambda step, own: 500 * tf.rsqrt(tf.maximum(step - own.warmup, 1.0)),
    "piecewise": _piecewise,
}
