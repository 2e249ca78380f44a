"""What training does around any optimizer, each idea in a module of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import gin
import mesh_tensorflow as mtf

from primer.common import checks, graph_marks
from primer.common.class_names import source_name
from primer.common.recurrence import carried_state
from primer.errors import UsageError
from primer.optimizers import (
    accumulation,
    assignments,
    base,
    norms,
    outliers,
    rate_groups,
    weight_average,
)
from primer.parametrization import width_rates

# A norm of weights that is not 0, to divide by.
_LEAST = 1e-30


@gin.configurable("training_optimizer", module="primer")
class TrainingOptimizer(mtf.optimize.Optimizer):
    """An optimizer around another one, which `utils.run.optimizer` names.

    In this order: a step whose loss or gradient norm is an outlier is skipped; gradients are
    accumulated over steps; their mean is clipped; each group of weights gets its learning rate;
    the other optimizer makes its updates; and a moving average of the weights follows these. A step
    that does not update changes neither weights nor any state or count of the other optimizer.

    TensorBoard gets the L2 norms over all weights: of the step's gradient (`gradient_norm`), of the
    weights (`weight_norm`), and the ratio of the update's to the weights' (`update_ratio`, 0 where
    a step does not update).

    Args:
        make_optimizer: the other optimizer's class, called with a `learning_rate`.
        learning_rate: the rate of this step, a number or a TensorFlow scalar.
        clip_norm: gradients with a global norm above this are scaled down to it; None: never.
        learning_rate_groups: pairs of a regular expression and a rate (`rate_groups.groups_of`).
        accumulate_steps: the number of steps whose mean gradient makes an update
            (`accumulation`). The schedule stays a function of the step.
        average_decay: the decay of a moving average of the weights (`weight_average`); None: no
            average.
        skip_outliers: standard deviations above the mean from which a step is skipped
            (`outliers`); None: none is.
        spike_threshold: standard deviations from the mean from which a step counts in
            `spike_score`; None: as many as `skip_outliers`, and no score without either.
        outlier_window: the number of steps that a step is compared with.
        width_multiplier: m, by which the rates of a base width are carried over
            (`primer.parametrization.mup`); None: they are not.
        weight_decay: the slot that the other optimizer may read; a remark says if it does not.

    Raises:
        UsageError: a setting has no such value.
    """

    def __init__(
        self,
        make_optimizer: Callable[..., mtf.optimize.Optimizer],
        learning_rate: Any,
        clip_norm: float | None = None,
        learning_rate_groups: Sequence[tuple[str, Any]] = (),
        accumulate_steps: int = 1,
        average_decay: float | None = None,
        skip_outliers: float | None = None,
        spike_threshold: float | None = None,
        outlier_window: int = 128,
        width_multiplier: float | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        self._make_optimizer = base.optimizer_class("utils.run.optimizer", make_optimizer)
        self._learning_rate = learning_rate
        self._clip_norm = _above_0_or_none("clip_norm", clip_norm, "no clipping")
        self._patterns = learning_rate_groups
        self._accumulate_steps = checks.whole_number(_name("accumulate_steps"), accumulate_steps)
        if average_decay is not None:
            checks.fraction(_name("average_decay"), average_decay)
        self._average_decay = average_decay
        self._skip = _above_0_or_none("skip_outliers", skip_outliers, "skipping no step")
        self._spikes = _above_0_or_none("spike_threshold", spike_threshold, "skip_outliers")
        self._window = checks.whole_number(_name("outlier_window"), outlier_window, least=2)
        self._width_multiplier = width_multiplier
        self._weight_decay = checks.number_from_zero(_name("weight_decay"), weight_decay)

    def apply_grads(
        self, grads: list[mtf.Tensor | None], variables: list[mtf.Variable]
    ) -> list[mtf.Operation]:
        """See base class."""
        if not any(grad is not None for grad in grads):
            return []
        # Mesh-TF's SGD multiplies them by the rate, which is float32; all others cast them.
        grads = [None if grad is None else mtf.to_float(grad) for grad in grads]
        gradient_norm = norms.global_norm(grads)
        step = self._watched(gradient_norm)
        accumulated = accumulation.accumulate(grads, variables, self._accumulate_steps)
        norm = gradient_norm if self._accumulate_steps == 1 else None
        clipped = self._clipped(accumulated.gradients, norm)
        parts = assignments.taken_apart(self._update(clipped, variables))
        changes = assignments.changes_of_weights(parts, source_name(self._make_optimizer))
        if self._average_decay is not None:
            parts += weight_average.updates(changes, self._average_decay)
        conditions = [step.is_accepted, accumulated.is_complete]
        self._summarize(gradient_norm, changes, variables, conditions)
        if accumulated.is_complete is not None:
            parts = assignments.only_if(accumulated.is_complete, parts)
        parts += accumulated.assignments
        if step.is_accepted is not None:
            parts = assignments.only_if(step.is_accepted, parts)
        return assignments.put_together(parts + step.assignments) + _carried()

    def _watched(self, gradient_norm):
        """Returns what `outliers` says of the step."""
        if self._skip is None and self._spikes is None:
            return outliers.Step(None, [])
        spikes = self._skip if self._spikes is None else self._spikes
        return outliers.watch(gradient_norm, self._skip, spikes, self._window)

    def _clipped(self, grads, norm):
        """Returns gradients whose global norm is at most `clip_norm`."""
        if self._clip_norm is None:
            return grads
        norm = norms.global_norm(grads) if norm is None else norm
        factor = self._clip_norm / mtf.maximum(norm, self._clip_norm)
        return [None if grad is None else grad * factor for grad in grads]

    def _update(self, grads, variables):
        """Returns the assignments of the inner optimizer, one of which each group of rates has."""
        operations = []
        names = base.names_of_weights(variables)
        for group in self._groups(variables):
            optimizer = self._make_optimizer(learning_rate=group.rate)
            self._remark_on_unread_decay(optimizer)
            base.set_decay_rate(optimizer, group.decay_rate, group.factor)
            if hasattr(optimizer, "check"):
                optimizer.check(names)
            own = [[of_all[index] for index in group.indices] for of_all in (grads, variables)]
            try:
                operations += optimizer.apply_grads(*own)
            except ValueError as error:
                if "Dtypes must be equal" not in str(error):
                    raise
                raise self._error_of_types() from error
        return operations

    def _remark_on_unread_decay(self, optimizer):
        """Says so where a decay is set and the optimizer has none, or another setting for it."""
        if self._weight_decay and not hasattr(optimizer, "weight_decay"):
            graph_marks.add_remark(
                f"weight_decay = {self._weight_decay} has no effect: @"
                f"{source_name(self._make_optimizer)} does not read it; optimizers/adamw.gin does"
            )

    def _error_of_types(self):
        """Returns the error to raise: Mesh-TF's momentum is of the type of the activations."""
        return UsageError(
            f"utils.run.optimizer = @{source_name(self._make_optimizer)} has its state in the type "
            "of the activations, and gradients and rates are float32: set "
            "precision.activation_dtype = 'float32', or another optimizer (optimizers/sgd.gin)"
        )

    def _groups(self, variables):
        """Returns the groups of weights that have one rate."""
        if self._width_multiplier is None:
            return rate_groups.groups_of(variables, self._learning_rate, self._patterns)
        factor = width_rates.factor_of(
            self._make_optimizer, self._learning_rate, self._width_multiplier
        )
        return rate_groups.groups_of(variables, self._learning_rate, self._patterns, factor)

    def _summarize(self, gradient_norm, changes, variables, conditions):
        """Adds the norms to the events of training."""
        weight_norm = norms.global_norm([var.value for var in variables])
        update_norm = norms.global_norm([change.value for change in changes])
        ratio = update_norm / mtf.maximum(weight_norm, _LEAST)
        for condition in conditions:
            if condition is not None:
                ratio = norms.zero_unless(condition, ratio)
        mtf.scalar_summary("gradient_norm", gradient_norm)
        mtf.scalar_summary("weight_norm", weight_norm)
        mtf.scalar_summary("update_ratio", ratio)


def _carried():
    """Returns the assignments of what rows hand to the next rows: a skipped step has read them."""
    state = carried_state.current()
    return [] if state is None else state.assignments()


def _above_0_or_none(setting, value, meaning):
    """Raises UsageError unless a value is None or a number above 0; returns it."""
    if value is not None:
        expected = f"a number above 0, or None for {meaning}"
        checks.positive_number(_name(setting), value, expected)
    return value


def _name(setting):
    return f"training_optimizer.{setting}"
