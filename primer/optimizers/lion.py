"""Lion (https://arxiv.org/abs/2302.06675): the sign of a momentum, with one slot a weight."""

from collections.abc import Sequence
from typing import Any, ClassVar

import gin
import mesh_tensorflow as mtf

from primer.common import checks
from primer.optimizers import base, optimizer_state
from primer.parametrization import mup


@gin.configurable
class LionOptimizer(base.Optimizer):
    """Steps of one size in every coordinate, in the direction of an average of gradients.

    With gradient g (the paper's program 1):

        c <- beta1 * m + (1 - beta1) * g
        w <- w - lr * sign(c) - lr * decay * w
        m <- beta2 * m + (1 - beta2) * g

    As every step has the size lr, the paper trains with rates 3 to 10 times smaller than AdamW's
    and a decay as many times larger.

    Args:
        learning_rate: lr, a number or a TensorFlow scalar.
        weight_decay, exclude_from_weight_decay, decays_vectors: as of `base.Optimizer`.
        beta1: the share of the average in a step's direction, from 0 to below 1.
        beta2: the share of the average that stays, from 0 to below 1.

    Raises:
        UsageError: a setting has no such value.
    """

    update_size: ClassVar[mup.UpdateSize | None] = "constant"

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float = 0.0,
        exclude_from_weight_decay: Sequence[str] = (),
        decays_vectors: bool = False,
        beta1: float = 0.9,
        beta2: float = 0.99,
    ) -> None:
        super().__init__(learning_rate, weight_decay, exclude_from_weight_decay, decays_vectors)
        name = type(self).__name__
        self.beta1 = checks.fraction(f"{name}.beta1", beta1)
        self.beta2 = checks.fraction(f"{name}.beta2", beta2)

    def change(self, grad: mtf.Tensor, var: mtf.Variable) -> tuple[mtf.Tensor, list[mtf.Operation]]:
        """See base class."""
        m = optimizer_state.slot(var, "lion_m")
        direction = self.beta1 * m + (1.0 - self.beta1) * grad
        new_m = self.beta2 * m + (1.0 - self.beta2) * grad
        return mtf.sign(direction), [mtf.assign(m, new_m)]
