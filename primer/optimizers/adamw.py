"""AdamW (https://arxiv.org/abs/1711.05101), and the forms of it without bias correction."""

from collections.abc import Sequence
from typing import Any, ClassVar

import gin
import mesh_tensorflow as mtf

from primer.common import checks
from primer.errors import UsageError
from primer.optimizers import base, optimizer_state, update_count
from primer.parametrization import mup, roles


@gin.configurable
class AdamWOptimizer(base.Optimizer):
    """Adam with weight decay apart from the gradient.

    With gradient g at update t = 1, 2, ...:

        m <- beta1 * m + (1 - beta1) * g
        v <- beta2 * v + (1 - beta2) * g^2
        w <- w - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) - lr * decay * w

    BERT, GPT-Neo and Mesh-TensorFlow divide neither moment (`bias_correction = False`). TensorFlow
    and Keras, and so Tensor2Tensor and Lingvo, divide epsilon too (`corrects_epsilon = True`; the
    "epsilon hat" of https://arxiv.org/abs/1412.6980, section 2):

        ... (m / (1 - beta1^t)) / ((sqrt(v) + epsilon) / sqrt(1 - beta2^t)) ...

    Every row of an embedding is updated at every step, also of tokens that are not in the batch.

    Args:
        learning_rate: lr, a number or a TensorFlow scalar.
        weight_decay, exclude_from_weight_decay, decays_vectors: as of `base.Optimizer`.
        beta1, beta2: the shares of the moments that stay, from 0 to below 1.
        epsilon: a number above 0.
        bias_correction: whether the moments are divided by 1 - beta^t.
        corrects_epsilon: whether epsilon is divided by sqrt(1 - beta2^t).

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
        beta2: float = 0.95,
        epsilon: float = 1e-8,
        bias_correction: bool = True,
        corrects_epsilon: bool = False,
    ) -> None:
        super().__init__(learning_rate, weight_decay, exclude_from_weight_decay, decays_vectors)
        name = type(self).__name__
        self.beta1 = checks.fraction(f"{name}.beta1", beta1)
        self.beta2 = checks.fraction(f"{name}.beta2", beta2)
        self.epsilon = checks.positive_number(f"{name}.epsilon", epsilon)
        self.bias_correction = checks.boolean(f"{name}.bias_correction", bias_correction)
        self.corrects_epsilon = checks.boolean(f"{name}.corrects_epsilon", corrects_epsilon)
        if corrects_epsilon and not bias_correction:
            raise UsageError(
                f"{name}.corrects_epsilon = True: expected False, because {name}.bias_correction = "
                "False corrects nothing; set one of them"
            )

    def change(self, grad: mtf.Tensor, var: mtf.Variable) -> tuple[mtf.Tensor, list[mtf.Operation]]:
        """See base class."""
        m, v = optimizer_state.slot(var, "adam_m"), optimizer_state.slot(var, "adam_v")
        new_m = self.beta1 * m + (1.0 - self.beta1) * grad
        new_v = self.beta2 * v + (1.0 - self.beta2) * mtf.square(grad)
        state = [mtf.assign(m, new_m), mtf.assign(v, new_v)]
        if not self.bias_correction:
            return new_m / (mtf.sqrt(new_v) + self.epsilon), state
        update = update_count.updates_done(var.mesh, _count(var)) + 1.0
        new_m /= update_count.one_minus_power(self.beta1, update)
        of_v = update_count.one_minus_power(self.beta2, update)
        if self.corrects_epsilon:
            return new_m / ((mtf.sqrt(new_v) + self.epsilon) * mtf.rsqrt(of_v)), state
        return new_m / (mtf.sqrt(new_v / of_v) + self.epsilon), state


def _count(var):
    """Returns the name of the count of the updates that a weight's moments have had.

    Matrices have their own: a run that changes to Muon and back begins their moments again, and
    keeps those of all other weights.
    """
    return "adamw_matrices" if roles.role(var.shape) == "matrix" else "adamw"
