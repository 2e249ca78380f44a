"""Outliers among the losses and gradient norms of training: their score, and whether to skip them.

The loss and the gradient norm of a step are compared with the mean and the (unbiased) standard
deviation of those of the last `window` steps, once there are half as many, and at least 2. As
OLMo-core's `SkipStepOptimizer` (window 128, 6 deviations) decides:

    skipped    loss or norm lies more than `skip` deviations above its mean
    window     takes in every step, skipped or not: after a lasting change training goes on

Otherwise than there a loss or norm that is not finite is skipped from the first step on, and never
enters the window, of which it would make the mean NaN for all of its length.

The spike score of OLMo 2 (https://arxiv.org/abs/2501.00656) is the share of values at least so many
deviations from the rolling mean, on either side; here of all steps so far, a step counting once.
"""

from typing import NamedTuple

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from primer.errors import UsageError
from primer.optimizers import assignments, norms, optimizer_state

# Names in the events; the loop of training reads the last two.
LOSS_DEVIATION = "loss_deviation"
NORM_DEVIATION = "gradient_norm_deviation"
SPIKE_SCORE = "spike_score"
SKIPPED = "skipped_steps"
SKIPPED_IN_A_ROW = "skipped_steps_in_a_row"

# A standard deviation that is not 0, to divide by.
_LEAST = 1e-30


class Step(NamedTuple):
    """What is known of a step before its update.

    Attributes:
        is_accepted: whether the step updates, a bool scalar; None: every step does.
        assignments: those of the windows and the counts.
    """

    is_accepted: mtf.Tensor | None
    assignments: list[assignments.Assignment]


def watch(
    gradient_norm: mtf.Tensor, skip: float | None, spike_threshold: float, window: int
) -> Step:
    """Compares a step with those before it, and adds its scores to the events of training.

    Args:
        gradient_norm: the norm of the step's gradient before clipping, a float32 scalar.
        skip: the deviations above the mean from which a step is skipped; None: never.
        spike_threshold: the deviations from the mean from which a step counts as a spike.
        window: the number of steps that are remembered, 2 or more.

    Raises:
        UsageError: the loss is not known.
    """
    loss = graph_marks.training_loss()
    if loss is None:
        raise UsageError(
            "training_optimizer.skip_outliers and spike_threshold need the loss of training: call "
            "primer.common.graph_marks.set_training_loss before the optimizer"
        )
    loss = mtf.to_float(loss)
    mesh, size = gradient_norm.mesh, mtf.Dimension("outlier_window", window)
    is_full = optimizer_state.state(mesh, "outliers/is_full", mtf.Shape([size]))
    losses = optimizer_state.state(mesh, "outliers/losses", mtf.Shape([size]))
    gradient_norms = optimizer_state.state(mesh, "outliers/gradient_norms", mtf.Shape([size]))

    deviations = [
        _deviation(loss, losses, is_full),
        _deviation(gradient_norm, gradient_norms, is_full),
    ]
    is_finite = mtf.logical_and(_is_finite(loss), _is_finite(gradient_norm))
    is_known = mtf.greater_equal(mtf.reduce_sum(is_full), float(max(2, window // 2)))
    for name, deviation in zip((LOSS_DEVIATION, NORM_DEVIATION), deviations, strict=True):
        mtf.scalar_summary(name, norms.zero_unless(is_known, deviation))

    remembered = [
        assignments.to_state(values, _with_first(values, value))
        for values, value in (
            (losses, loss),
            (gradient_norms, gradient_norm),
            (is_full, mtf.ones_like(loss)),
        )
    ]
    found = assignments.only_if(is_finite, remembered)
    spikes = [mtf.greater_equal(mtf.abs(d), spike_threshold) for d in deviations]
    found += _score(mesh, _either(is_known, is_finite, spikes))
    if skip is None:
        return Step(None, found)
    is_skipped = _either(is_known, is_finite, [mtf.greater(d, skip) for d in deviations])
    return Step(mtf.logical_not(is_skipped), found + _count_skipped(mesh, is_skipped))


def _deviation(value, values, is_full):
    """Returns by how many standard deviations a value differs from the mean of a window."""
    number = mtf.reduce_sum(is_full)
    mean = mtf.reduce_sum(values * is_full) / mtf.maximum(number, 1.0)
    squares = mtf.square(values - mean) * is_full
    variance = mtf.reduce_sum(squares) / mtf.maximum(number - 1.0, 1.0)
    return (value - mean) / mtf.maximum(mtf.sqrt(variance), _LEAST)


def _with_first(values, value):
    """Returns a window with a value before all others and without the last."""
    (dim,) = values.shape.dims
    return mtf.shift(values, 1, dim, wrap=False) + value * mtf.one_hot(
        mtf.zeros(values.mesh, mtf.Shape([]), tf.int32), dim
    )


def _is_finite(value):
    return mtf.cwise(tf.math.is_finite, [value], output_dtype=tf.bool)


def _either(is_known, is_finite, conditions):
    """Whether a step is an outlier: one of the conditions on it is true, or it is not finite."""
    is_outlier = mtf.logical_and(is_known, mtf.logical_or(*conditions))
    return mtf.logical_or(is_outlier, mtf.logical_not(is_finite))


def _score(mesh, is_spike):
    """Adds the spike score to the events, and returns the assignments of its counts."""
    steps, spikes = (
        optimizer_state.state(mesh, "outliers/steps"),
        optimizer_state.state(mesh, "outliers/spikes"),
    )
    new_steps, new_spikes = steps + 1.0, spikes + mtf.to_float(is_spike)
    mtf.scalar_summary(SPIKE_SCORE, new_spikes / new_steps)
    return [assignments.to_state(steps, new_steps), assignments.to_state(spikes, new_spikes)]


def _count_skipped(mesh, is_skipped):
    """Adds the numbers of skipped steps to the events, and returns their assignments."""
    skipped = optimizer_state.state(mesh, "outliers/skipped")
    in_a_row = optimizer_state.state(mesh, "outliers/skipped_in_a_row")
    one = mtf.to_float(is_skipped)
    new_skipped, new_in_a_row = skipped + one, (in_a_row + 1.0) * one
    mtf.scalar_summary(SKIPPED, new_skipped)
    mtf.scalar_summary(SKIPPED_IN_A_ROW, new_in_a_row)
    return [
        assignments.to_state(skipped, new_skipped),
        assignments.to_state(in_a_row, new_in_a_row),
    ]
