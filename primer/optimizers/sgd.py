"""Stochastic gradient descent with momentum, for comparisons."""

from collections.abc import Sequence
from typing import Any, ClassVar

import gin
import mesh_tensorflow as mtf

from primer.common import checks
from primer.errors import UsageError
from primer.optimizers import base, optimizer_state
from primer.parametrization import mup


@gin.configurable
class SgdMomentumOptimizer(base.Optimizer):
    """Gradient descent with heavy-ball or Nesterov's momentum, and decay apart from it (SGDW).

    With gradient g (https://arxiv.org/abs/1711.05101, algorithm 1; the momentum accumulates
    gradients and not steps, as in PyTorch and optax, and so does not remember earlier rates):

        m <- momentum * m + g
        w <- w - lr * m - lr * decay * w                        nesterov = False
        w <- w - lr * (g + momentum * m) - lr * decay * w       nesterov = True

    Mesh-TensorFlow's `MomentumOptimizer` accumulates steps, in the precision of the weights, and
    has neither decay nor Nesterov's form.

    Args:
        learning_rate: lr, a number or a TensorFlow scalar.
        weight_decay, exclude_from_weight_decay, decays_vectors: as of `base.Optimizer`.
        momentum: the share of m that stays, from 0 to below 1. 0: no m, and no state.
        nesterov: whether the step looks one momentum ahead.

    Raises:
        UsageError: a setting has no such value.
    """

    update_size: ClassVar[mup.UpdateSize | None] = "gradient"

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float = 0.0,
        exclude_from_weight_decay: Sequence[str] = (),
        decays_vectors: bool = False,
        momentum: float = 0.9,
        nesterov: bool = False,
    ) -> None:
        super().__init__(learning_rate, weight_decay, exclude_from_weight_decay, decays_vectors)
        name = type(self).__name__
        self.momentum = checks.fraction(f"{name}.momentum", momentum)
        self.nesterov = checks.boolean(f"{name}.nesterov", nesterov)
        if nesterov and not momentum:
            raise UsageError(
                f"{name}.nesterov = True: expected False, because {name}.momentum = {momentum!r}; "
                "set a momentum above 0"
            )

    def change(self, grad: mtf.Tensor, var: mtf.Variable) -> tuple[mtf.Tensor, list[mtf.Operation]]:
        """See base class."""
        if not self.momentum:
            return grad, []
        return optimizer_state.momentum(grad, var, self.momentum, self.nesterov)
