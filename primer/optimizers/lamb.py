"""LAMB (https://arxiv.org/abs/1904.00962): AdamW whose steps are in proportion to the weights."""

from collections.abc import Sequence
from typing import Any, ClassVar

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.optimizers.adamw import AdamWOptimizer
from primer.parametrization import mup, roles


@gin.configurable
class LambOptimizer(AdamWOptimizer):
    """AdamW with a trust ratio for each weight, for large batches.

    With update(g) of `AdamWOptimizer`, both moments corrected (the paper's algorithm 2, its phi the
    identity):

        u <- update(g) + decay * w
        w <- w - lr * (|w| / |u|) * u

    |.| is the L2 norm of the whole weight; of one with stacked dimensions (experts, ensembles), of
    each index along them. The ratio is 1 where either norm is 0, as of a bias at the first step.
    The state is AdamW's under the same names, so that a run may change between the two.

    Args:
        learning_rate: lr, a number or a TensorFlow scalar.
        weight_decay, exclude_from_weight_decay, decays_vectors: as of `base.Optimizer`.
        beta1, beta2, epsilon: as of `AdamWOptimizer`.

    Raises:
        UsageError: a setting has no such value.
    """

    update_size: ClassVar[mup.UpdateSize | None] = "weight"

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float = 0.0,
        exclude_from_weight_decay: Sequence[str] = (),
        decays_vectors: bool = False,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-6,
    ) -> None:
        # All of them: gin would fill in what is bound to AdamWOptimizer.
        super().__init__(
            learning_rate,
            weight_decay,
            exclude_from_weight_decay,
            decays_vectors,
            beta1,
            beta2,
            epsilon,
            bias_correction=True,
            corrects_epsilon=False,
        )

    def step(self, change: mtf.Tensor, var: mtf.Variable) -> mtf.Tensor:
        """See base class."""
        weight = mtf.to_float(var.value)
        update = change + weight * self.weight_decay if self.decays(var) else change
        return super().step(change, var) * _trust_ratio(weight, update)


def _trust_ratio(weight: mtf.Tensor, update: mtf.Tensor) -> mtf.Tensor:
    """Returns |weight| / |update|, 1 where either is 0; of the shape of the stacked dimensions."""
    stacked = mtf.Shape(roles.stacked_dims(weight.shape))
    norms = [
        mtf.sqrt(mtf.reduce_sum(mtf.square(tensor), output_shape=stacked))
        for tensor in (weight, update)
    ]

    def ratio(of_weight, of_update):
        is_defined = tf.logical_and(of_weight > 0.0, of_update > 0.0)
        ones = tf.ones_like(of_weight)
        return tf.where(is_defined, of_weight / tf.where(is_defined, of_update, ones), ones)

    # A selection, because 0 / 0 is NaN.
    return mtf.slicewise(ratio, norms, splittable_dims=stacked.dims)
