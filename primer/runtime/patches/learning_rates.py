"""Optimizers with a learning rate of their own for some variables: each variable is updated once.

Mesh-TF's AdafactorWithMultiLRSchedule and AdamWithMultiLRSchedule go through their patterns
(`variable_search`) and make an update of a variable for each, of which the last one holds, even
where its pattern is not found in the name; and their schedules always end at step 524,288. Here the
first pattern that is found in a variable's name decides, and schedules end with the run.
"""

import re

from primer.errors import UsageError
from primer.gin_config.values import configured


def patch(optimize):
    """Mends both classes after the import of `mesh_tensorflow.optimize`."""
    _mend(optimize, optimize.AdafactorWithMultiLRSchedule, "_learning_rate")
    _mend(optimize, optimize.AdamWithMultiLRSchedule, "learning_rate")


def _mend(optimize, cls, attribute):
    """Gives a class an `apply_grad` that changes the rate, kept in `attribute`, for one call."""

    def apply_grad(self, grad, var):
        number = _first_match(self, var.name)
        if number is None:
            return super(cls, self).apply_grad(grad, var)
        usual = getattr(self, attribute)
        setattr(self, attribute, _rates(optimize, self, usual)[number])
        try:
            return super(cls, self).apply_grad(grad, var)
        finally:
            setattr(self, attribute, usual)

    cls.apply_grad = apply_grad


def _first_match(optimizer, name):
    """The index of the first pattern found in a variable's name; None if there is none."""
    patterns, schedules = optimizer.variable_search, optimizer.alt_lr_schedules
    if patterns is None or schedules is None:
        return None
    if len(patterns) != len(schedules):
        raise UsageError(
            f"{type(optimizer).__name__}.variable_search has {len(patterns)} patterns and "
            f"alt_lr_schedules {len(schedules)} schedules: expected one schedule for each pattern"
        )
    return next((n for n, pattern in enumerate(patterns) if re.search(pattern, name)), None)


def _rates(optimize, optimizer, usual):
    """The rates of this step for each pattern, made once for all variables."""
    if not hasattr(optimizer, "_rates_by_pattern"):
        steps = configured("utils.run.train_steps", 524288)
        optimizer._rates_by_pattern = optimize.compute_lr_for_step(
            optimizer.alt_lr_schedules, usual, steps
        )
    return optimizer._rates_by_pattern
