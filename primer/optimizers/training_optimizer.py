"""What training does around any optimizer: clipping, groups of rates, norms for the events."""

from collections.abc import Callable, Sequence
from typing import Any

import gin
import mesh_tensorflow as mtf

from primer.common import checks
from primer.common.class_names import source_name
from primer.optimizers import assignments, norms, rate_groups, width_rates

# A norm of weights that is not 0, to divide by.
_LEAST = 1e-30


@gin.configurable("training_optimizer", module="primer")
class TrainingOptimizer(mtf.optimize.Optimizer):
    """An optimizer around another one, which `utils.run.optimizer` names.

    The gradients are clipped, and each group of weights gets its learning rate. TensorBoard gets
    the L2 norms over all weights: of the gradient before clipping (`gradient_norm`), of the weights
    (`weight_norm`), and the ratio of the update's to the weights' (`update_ratio`).

    Args:
        make_optimizer: the other optimizer's class, called with a `learning_rate`.
        learning_rate: the rate of this step, a number or a TensorFlow scalar.
        clip_norm: gradients with a global norm above this are scaled down to it; None: never.
        learning_rate_groups: pairs of a regular expression and a rate (`rate_groups.groups_of`).
        width_multiplier: m, by which the rates of a base width are carried over
            (`primer.parametrization.mup`); None: they are not.

    Raises:
        UsageError: a setting has no such value.
    """

    def __init__(
        self,
        make_optimizer: Callable[..., mtf.optimize.Optimizer],
        learning_rate: Any,
        clip_norm: float | None = None,
        learning_rate_groups: Sequence[tuple[str, Any]] = (),
        width_multiplier: float | None = None,
    ) -> None:
        if clip_norm is not None:
            expected = "a number above 0, or None for no clipping"
            checks.positive_number("training_optimizer.clip_norm", clip_norm, expected)
        self._make_optimizer = make_optimizer
        self._learning_rate = learning_rate
        self._clip_norm = clip_norm
        self._patterns = learning_rate_groups
        self._width_multiplier = width_multiplier

    def apply_grads(
        self, grads: list[mtf.Tensor | None], variables: list[mtf.Variable]
    ) -> list[mtf.Operation]:
        """See base class."""
        if not any(grad is not None for grad in grads):
            return []
        gradient_norm = norms.global_norm(grads)
        if self._clip_norm is not None:
            factor = self._clip_norm / mtf.maximum(gradient_norm, self._clip_norm)
            grads = [None if grad is None else mtf.to_float(grad) * factor for grad in grads]
        parts = assignments.taken_apart(self._update(grads, variables))
        self._summarize(gradient_norm, parts, variables)
        return assignments.put_together(parts)

    def _update(self, grads, variables):
        """Returns the assignments of the inner optimizer, one of which each group of rates has."""
        operations = []
        names = [var.name for var in variables]
        for group in self._groups(variables):
            optimizer = self._make_optimizer(learning_rate=group.rate)
            if hasattr(optimizer, "decay_learning_rate"):
                optimizer.decay_learning_rate = group.decay_rate
            elif hasattr(optimizer, "weight_decay_rate"):  # Mesh-TF's, a factor of the rate.
                optimizer.weight_decay_rate /= group.factor
            if hasattr(optimizer, "check"):
                optimizer.check(names)
            operations += optimizer.apply_grads(
                [grads[index] for index in group.indices],
                [variables[index] for index in group.indices],
            )
        return operations

    def _groups(self, variables):
        """Returns the groups of weights that have one rate."""
        if self._width_multiplier is None:
            return rate_groups.groups_of(variables, self._learning_rate, self._patterns)
        factor = width_rates.factor_of(
            self._make_optimizer, self._learning_rate, self._width_multiplier
        )
        return rate_groups.groups_of(variables, self._learning_rate, self._patterns, factor)

    def _summarize(self, gradient_norm, parts, variables):
        """Adds the norms to the events of training."""
        changes = assignments.changes_of_weights(parts, source_name(self._make_optimizer))
        weight_norm = norms.global_norm([var.value for var in variables])
        update_norm = norms.global_norm([change.value for change in changes])
        mtf.scalar_summary("gradient_norm", gradient_norm)
        mtf.scalar_summary("weight_norm", weight_norm)
        mtf.scalar_summary("update_ratio", update_norm / mtf.maximum(weight_norm, _LEAST))
