"""Mesh-TF 0.1.21: of several learning rates, the last pattern's holds for every variable.

AdafactorWithMultiLRSchedule and AdamWithMultiLRSchedule update a variable once for each of their
patterns (`variable_search`). The last update holds, even where the variable's name does not match
its pattern; and the schedules always end at step 524,288. With the patch the first pattern found in
a variable's name decides, each variable is updated once, and schedules end with the run. No rate
is negative, whichever schedule it is from.
"""

import re
from types import ModuleType
from typing import Any

import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from primer.errors import UsageError
from primer.gin_config import gin_state
from primer.gin_config.values import configured


def patch(optimize: ModuleType) -> None:
    """Patches both classes of `mesh_tensorflow.optimize`."""
    _patch_class(optimize, optimize.AdafactorWithMultiLRSchedule, "_learning_rate")
    _patch_class(optimize, optimize.AdamWithMultiLRSchedule, "learning_rate")


def _patch_class(optimize, cls, attribute):
    """Gives a class an `apply_grad` that sets `attribute`, the learning rate, for one call."""

    def apply_grad(self, grad, var):
        number = _first_match(self, var.name)
        if number is None:
            return super(cls, self).apply_grad(grad, var)
        default_rate = getattr(self, attribute)
        setattr(self, attribute, _rates(optimize, self, default_rate)[number])
        try:
            return super(cls, self).apply_grad(grad, var)
        finally:
            setattr(self, attribute, default_rate)

    cls.apply_grad = apply_grad


def _first_match(optimizer, name):
    """Returns the index of the first pattern found in a variable's name, or None."""
    patterns, schedules = optimizer.variable_search, optimizer.alt_lr_schedules
    if patterns is None or schedules is None:
        return None
    if len(patterns) != len(schedules):
        raise UsageError(
            f"{type(optimizer).__name__}.variable_search has {len(patterns)} patterns and "
            f"alt_lr_schedules {len(schedules)} schedules: expected one schedule for each pattern"
        )
    return next((n for n, pattern in enumerate(patterns) if re.search(pattern, name)), None)


def _rates(optimize, optimizer, default_rate):
    """Returns the rates of this step for all patterns, made once for all variables."""
    if not hasattr(optimizer, "_rates_by_pattern"):
        steps = configured("utils.run.train_steps", 524288)
        rates = optimize.compute_lr_for_step(optimizer.alt_lr_schedules, default_rate, steps)
        optimizer._rates_by_pattern = list(map(_positive_part, rates))
    return optimizer._rates_by_pattern


def not_negative(schedule: Any) -> Any:
    """Returns a learning-rate schedule whose rate is 0 where the original's is negative.

    Mesh-TF's schedules end in a straight line, which goes below zero behind the last step (and
    before an `offset`): training would climb. A number becomes a function too, so that its rate is
    in the events as well, and the schedule of the graph is known (`graph_marks.schedule`).

    Args:
        schedule: a number, or a function of the step; None for none.

    Raises:
        UsageError: a negative number.
    """
    if schedule is None:
        return None
    if isinstance(schedule, (int, float)) and schedule < 0:
        raise UsageError(
            f"utils.run.learning_rate_schedule = {schedule!r}: expected a rate of 0 or more"
        )

    def learning_rate(step: Any) -> Any:
        rate = _positive_part(schedule(step=step) if callable(schedule) else schedule)
        # Mesh-TF's `utils.run` bound the argument.
        steps = getattr(schedule, "keywords", {}).get("total_train_steps")
        graph_marks.set_schedule(rate, steps or configured("utils.run.train_steps", None))
        _remark_on_unread_rate()
        return rate

    return learning_rate


def _remark_on_unread_rate():
    """Adds a remark if the user has set the slot `learning_rate` and the schedule has not read it.

    Mesh-TF's own schedules have their rate in themselves.
    """
    value = gin_state.bindings_of("learning_rate", gin_state.MACRO).get("value")
    is_read = ("learning_rate", gin_state.MACRO) in gin_state.recorded_calls()
    if isinstance(value, (int, float)) and not is_read:
        graph_marks.add_remark(
            f"learning_rate = {value} has no effect: the schedule does not read it; "
            "schedules/noam.gin and schedules/rsqrt.gin are T5's schedules that do."
        )


def _positive_part(rate):
    return tf.maximum(rate, tf.zeros_like(rate)) if tf.is_tensor(rate) else max(rate, 0.0)
