"""What the optimizers of this package share: float32 state, weight decay, counted updates.

An optimizer's state has the shape and so the layout of its weight: a mesh splits both alike. Names
of state are `<weight>_slot_<name>`, as Mesh-TensorFlow's Adafactor has them. Two optimizers
have one name only for the same quantity: a run that changes its optimizer goes on with it.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import checks
from primer.errors import UsageError
from primer.optimizers import update_count
from primer.parametrization import mup, roles, weight_patterns


class Optimizer(mtf.optimize.Optimizer):
    """An optimizer whose weights decay apart from their gradients (https://arxiv.org/abs/1711.05101).

    Of each step with gradient g, rate lr and decay wd:

        w <- w - lr * update(g) - lr * wd * w

    Vectors (biases, scales of norms, taps of convolutions; `primer.parametrization.roles`) do not
    decay, nor do weights whose names match `exclude_from_weight_decay`.

    Args:
        learning_rate: the rate of this step, a number or a TensorFlow scalar.
        weight_decay: wd, 0 or more.
        exclude_from_weight_decay: regular expressions that are searched in the names of weights.
        decays_vectors: whether vectors decay too.

    Attributes:
        update_size: what the size of update(g) depends on, for rates that carry over to other
            widths: "constant", "gradient", "weight", ... (`primer.parametrization.mup`); None if it
            is not known. Where weights differ, override `update_size_of`.
        learning_rate: lr.
        decay_learning_rate: the rate that multiplies wd.

    Raises:
        UsageError: a setting has no such value.
    """

    update_size: ClassVar[mup.UpdateSize | None] = None

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float = 0.0,
        exclude_from_weight_decay: Sequence[str] = (),
        decays_vectors: bool = False,
    ) -> None:
        name = type(self).__name__
        checks.number_from_zero(f"{name}.weight_decay", weight_decay)
        checks.boolean(f"{name}.decays_vectors", decays_vectors)
        if learning_rate is None:
            raise UsageError(
                f"utils.run.learning_rate_schedule = None: expected a rate for @{name}, which has "
                "none of its own; set learning_rate or schedule"
            )
        self.learning_rate = learning_rate
        self.decay_learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.decays_vectors = decays_vectors
        self._excluded = weight_patterns.compiled(
            f"{name}.exclude_from_weight_decay", exclude_from_weight_decay
        )

    def check(self, names: Sequence[str]) -> None:
        """Raises UsageError for an excluded pattern that none of all weights' names matches."""
        for pattern in self._excluded:
            setting = f"{type(self).__name__}.exclude_from_weight_decay"
            weight_patterns.require_match(setting, pattern, names)

    def set_decay_rate(self, rate: Any, factor: float) -> None:
        """Sets the rate of the decay, where it differs from that of the gradients' part.

        Args:
            rate: the rate that multiplies wd.
            factor: by which `learning_rate` was multiplied and this rate was not.
        """
        del factor  # Optimizers inside of this one may need it.
        self.decay_learning_rate = rate

    def update_size_of(self, var: mtf.Variable) -> mup.UpdateSize | None:
        """Returns what the size of a weight's updates depends on, or None if it is not known."""
        return self.update_size

    def apply_grads(self, grads: list, variables: list[mtf.Variable]) -> list[mtf.Operation]:
        """Returns the operations that update weights, state and the count of updates.

        Args:
            grads: the gradients, each of the shape of its weight; None where the loss does not
                depend on it.
            variables: the weights.
        """
        if not variables:
            return []
        operations = [
            operation
            for grad, var in zip(grads, variables, strict=True)
            for operation in self.apply_grad(grad, var)
        ]
        operations += update_count.increments(variables[0].mesh)
        return variables[0].graph.combine_assignments(operations)

    def apply_grad(self, grad: mtf.Tensor | None, var: mtf.Variable) -> list[mtf.Operation]:
        """Returns the operations that update a weight and its state."""
        if grad is None:
            tf.logging.warning("The loss does not depend on %s", var.name)
            return []
        change, assignments = self.change(mtf.to_float(grad), var)
        # Not an assignment of the difference: bfloat16 activations see a rounded weight.
        return [mtf.assign_sub(var, self.step(change, var)), *assignments]

    def change(self, grad: mtf.Tensor, var: mtf.Variable) -> tuple[mtf.Tensor, list[mtf.Operation]]:
        """Returns update(g), which is subtracted times the rate, and the new state's assignments.

        Args:
            grad: g in float32.
            var: the weight.
        """
        raise NotImplementedError

    def step(self, change: mtf.Tensor, var: mtf.Variable) -> mtf.Tensor:
        """Returns what is subtracted from a weight: lr * update(g) + lr * wd * w.

        Args:
            change: update(g).
            var: the weight.
        """
        step = change * self.learning_rate
        if self.decays(var):
            step += mtf.to_float(var.value) * (self.decay_learning_rate * self.weight_decay)
        return step

    def decays(self, var: mtf.Variable) -> bool:
        """Returns whether a weight decays."""
        if not self.weight_decay:
            return False
        if not self.decays_vectors and roles.role(var.shape) == "vector":
            return False
        return not any(pattern.search(var.name) for pattern in self._excluded)


def optimizer_class(setting: str, value: Any) -> Callable[..., mtf.optimize.Optimizer]:
    """Raises UsageError unless a value can be called, as an optimizer's class can; returns it."""
    if not callable(value):
        raise UsageError(
            f"{setting} = {value!r}: expected an optimizer's class, as in @AdamWOptimizer"
        )
    return value


def set_decay_rate(optimizer: mtf.optimize.Optimizer, rate: Any, factor: float) -> None:
    """Does what `Optimizer.set_decay_rate` does, for Mesh-TensorFlow's optimizers too."""
    if isinstance(optimizer, Optimizer):
        optimizer.set_decay_rate(rate, factor)
    elif hasattr(optimizer, "weight_decay_rate"):  # A factor of the rate.
        optimizer.weight_decay_rate /= factor


def names_of_weights(variables: Sequence[mtf.Variable]) -> list[str]:
    """Returns the names of a graph's weights, which patterns may name: trained and frozen ones.

    Args:
        variables: those that are trained.
    """
    frozen = [v for v in variables[0].graph.all_variables if getattr(v, "is_frozen", False)]
    return [var.name for var in [*variables, *frozen]]
