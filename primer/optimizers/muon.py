"""Muon (https://kellerjordan.github.io/posts/muon/): orthogonalized momentum for matrices."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import gin
import mesh_tensorflow as mtf

from primer.common import checks
from primer.common.class_names import source_name
from primer.errors import UsageError
from primer.optimizers import base, optimizer_state
from primer.optimizers.adamw import AdamWOptimizer
from primer.optimizers.matrices import newton_schulz, weight_matrices
from primer.parametrization import mup, roles, weight_patterns

# The root mean square of AdamW's updates (https://arxiv.org/abs/2502.16982, section 2.2).
_RMS = 0.2


@gin.configurable
class MuonOptimizer(base.Optimizer):
    """Muon for matrices, and another optimizer for all other weights.

    With gradient g of a matrix of `inputs` rows and `outputs` columns:

        m <- momentum * m + g
        u = g + momentum * m, or m without nesterov
        w <- w - lr * scale * orthogonalized(u) - lr * decay * w

    `newton_schulz` has the orthogonalization. The scale is, of `update_scale`,

        "rms"       0.2 * sqrt(max(inputs, outputs)): the root mean square of an update is about
                    0.2, as AdamW's, so that AdamW's rates and decay carry over
                    (https://arxiv.org/abs/2502.16982, equation 4)
        "spectral"  sqrt(max(1, outputs / inputs)) of Keller Jordan's implementation, whose rate is
                    about 0.02

    Matrices are weights from channels to channels (`primer.parametrization.roles`): the projections
    of queries, keys, values and outputs of attention, the kernels of feed-forward layers and of
    pointwise convolutions, and each expert's kernels, of which each expert is a matrix of its own.
    Embeddings, the output to the vocabulary, positions, relative biases, routers, persistent
    vectors, value embeddings, biases, scales of norms and taps of convolutions are no matrices.

    All computations are in float32.

    Args:
        learning_rate: lr, a number or a TensorFlow scalar.
        weight_decay, exclude_from_weight_decay: as of `base.Optimizer`, of matrices; the other
            optimizer has its own.
        momentum: the share of m that stays, from 0 to below 1.
        nesterov: whether the gradient counts once more.
        ns_steps: the number of Newton-Schulz steps.
        update_scale: "rms" or "spectral".
        per_head: whether each head of a projection of attention is a matrix of its own.
        head_size: d_kv, the channels of a head; `per_head` needs it.
        matrices: regular expressions that are searched in the names of weights: Muon is for the
            matrices that one is found in. None: for all.
        others: the class of the optimizer of all other weights.
        others_rate: the factor of its learning rate.

    Raises:
        UsageError: a setting has no such value.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float = 0.0,
        exclude_from_weight_decay: Sequence[str] = (),
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        update_scale: Literal["rms", "spectral"] = "rms",
        per_head: bool = False,
        head_size: int | None = None,
        matrices: Sequence[str] | None = None,
        others: Callable[..., mtf.optimize.Optimizer] = AdamWOptimizer,
        others_rate: float = 1.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay, exclude_from_weight_decay)
        self.momentum = checks.fraction("MuonOptimizer.momentum", momentum)
        self.nesterov = checks.boolean("MuonOptimizer.nesterov", nesterov)
        self.ns_steps = checks.whole_number("MuonOptimizer.ns_steps", ns_steps)
        self.update_scale = _update_scale(update_scale)
        self.head_size = _head_size(per_head, head_size)
        self._patterns = None
        if matrices is not None:
            self._patterns = weight_patterns.compiled("MuonOptimizer.matrices", matrices)
        factor = checks.number_from_zero("MuonOptimizer.others_rate", others_rate)
        base.optimizer_class("MuonOptimizer.others", others)
        self._others_name = source_name(others)
        self._others_rate = factor
        self._others = others(learning_rate=learning_rate * factor)

    def check(self, names: Sequence[str]) -> None:
        """See base class."""
        super().check(names)
        for pattern in self._patterns or ():
            weight_patterns.require_match("MuonOptimizer.matrices", pattern, names)
        if hasattr(self._others, "check"):
            self._others.check(names)

    def set_decay_rate(self, rate: Any, factor: float) -> None:
        """See base class."""
        super().set_decay_rate(rate, factor)
        base.set_decay_rate(self._others, rate * self._others_rate, factor)

    def apply_grads(self, grads: list, variables: list[mtf.Variable]) -> list[mtf.Operation]:
        """See base class.

        Raises:
            UsageError: a pattern of `matrices` is found in the name of a weight that is none.
        """
        pairs = list(zip(grads, variables, strict=True))
        operations: list[mtf.Operation] = []
        for takes, apply in ((True, super().apply_grads), (False, self._others.apply_grads)):
            chosen = [(grad, var) for grad, var in pairs if self._takes(var) == takes]
            if chosen:
                operations += apply([grad for grad, _ in chosen], [var for _, var in chosen])
        return operations

    def change(self, grad: mtf.Tensor, var: mtf.Variable) -> tuple[mtf.Tensor, list[mtf.Operation]]:
        """See base class."""
        direction, state = optimizer_state.momentum(grad, var, self.momentum, self.nesterov)
        view = self._matrices(var)
        update = newton_schulz.orthogonalized(
            mtf.reshape(direction, view.shape), view.rows, view.columns, self.ns_steps
        )
        update = mtf.reshape(update, var.shape) * self._scale(*view.sizes)
        return update, state

    def update_size_of(self, var: mtf.Variable) -> mup.UpdateSize | None:
        """See base class.

        Raises:
            UsageError: `per_head` with the scale "spectral", whose matrices of different shapes
                need different factors.
        """
        if not self._takes(var):
            return mup.update_size(self._others, var)
        if self._matrices(var).sizes != weight_matrices.fused(var.shape).sizes:
            # Only more heads, not larger matrices: entries of a constant root mean square, whose
            # sum over a wide input grows as Adam's does.
            if self.update_scale == "rms":
                return "constant"
            raise UsageError(
                'base_width with MuonOptimizer.per_head = True needs update_scale = "rms", or '
                "per_head = False"
            )
        return "orthogonal" if self.update_scale == "rms" else "spectral"

    def _takes(self, var):
        """Returns whether Muon is for a weight."""
        is_matrix = roles.role(var.shape) == "matrix"
        if self._patterns is None:
            return is_matrix
        found = next((p for p in self._patterns if p.search(var.name)), None)
        if found and not is_matrix:
            raise UsageError(
                f"MuonOptimizer.matrices: {found.pattern!r} is found in {var.name} "
                f"{_described(var.shape)}, which is a {roles.role(var.shape)} and no matrix; "
                f"change the expression so that {self._others_name} updates this weight"
            )
        return found is not None

    def _matrices(self, var):
        if self.head_size is None:
            return weight_matrices.fused(var.shape)
        return weight_matrices.per_head(var.shape, self.head_size, var.name)

    def _scale(self, inputs, outputs):
        if self.update_scale == "rms":
            return _RMS * max(inputs, outputs) ** 0.5
        return max(1.0, outputs / inputs) ** 0.5


def _update_scale(value):
    if value not in ("rms", "spectral"):
        raise UsageError(f'MuonOptimizer.update_scale = {value!r}: expected "rms" or "spectral"')
    return value


def _head_size(per_head, head_size):
    """Returns the channels of a head, or None where heads are no matrices of their own."""
    if not checks.boolean("MuonOptimizer.per_head", per_head):
        return None
    expected = "a whole number of 1 or more, the channels of one head, for per_head = True"
    return checks.whole_number("MuonOptimizer.head_size", head_size, expected=expected)


def _described(shape):
    return f"[{', '.join(f'{dim.name}={dim.size}' for dim in shape.dims)}]"
