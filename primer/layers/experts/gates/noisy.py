"""Noisy top-k gating and its balance losses.

Shazeer et al. (https://arxiv.org/abs/1701.06538), section 2.1 and appendix A; FastMoE's NoisyGate:

    h(x) = x W_g + N(0, 1) * (softplus(x W_n) + 0.01)           [tokens..., experts]
    gates = softmax over the k largest h, 0 elsewhere
    importance_e = sum over tokens of gate_e                    [experts]
    load_e = sum over tokens of P(h_e would be among the k largest with a new draw of its noise)
           = sum of Phi((x W_g - the k-th largest h of the others)_e / deviation_e)
    loss = CV(importance)^2 + CV(load)^2        CV^2 = variance / mean^2 over the experts

Both matrices are zero at first: at the start the noise alone chooses. Evaluation has no noise.
"""

import dataclasses
import math
from collections.abc import Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers.experts import choices

LEAST_DEVIATION = 1e-2


@dataclasses.dataclass(frozen=True)
class Noise:
    """What the load needs: Tensors `[tokens..., experts]`.

    Attributes:
        clean: the logits without noise.
        noisy: the logits with noise.
        deviation: the standard deviation of the noise.
    """

    clean: mtf.Tensor
    noisy: mtf.Tensor
    deviation: mtf.Tensor


def draw(
    x: mtf.Tensor,
    clean: mtf.Tensor,
    experts_dim: mtf.Dimension,
    variable_dtype: mtf.VariableDType,
    name: str,
) -> Noise:
    """Returns the noise of a training step.

    Args:
        x: float32 `[tokens..., d_model]`.
        clean: the logits x W_g.
        experts_dim: the Dimension of the experts.
        variable_dtype: a mtf.VariableDType.
        name: the scope of W_n.
    """
    raw = mtf.layers.dense(
        x,
        experts_dim,
        reduced_dims=x.shape.dims[-1:],
        use_bias=False,
        kernel_initializer=tf.zeros_initializer(),
        variable_dtype=variable_dtype,
        name=name,
    )  # [tokens..., experts]
    deviation = mtf.softplus(raw) + LEAST_DEVIATION
    noisy = clean + mtf.random_normal(clean.mesh, clean.shape) * deviation
    return Noise(clean, noisy, deviation)


def gates(ranks: Sequence[choices.Choice]) -> mtf.Tensor:
    """Returns the gate of each expert for each token `[tokens..., experts]`, 0 if not chosen."""
    return mtf.add_n([rank.mask * rank.gate for rank in ranks])


def probability_of_choice(noise: Noise, experts_dim: mtf.Dimension, count: int) -> mtf.Tensor:
    """Returns the probability that a new draw of its noise makes an expert one of the k largest.

    Args:
        noise: Noise.
        experts_dim: the Dimension of the experts.
        count: k, below the number of experts.

    Returns:
        A Tensor `[tokens..., experts]`.
    """
    ranks = choices.best_logits(noise.noisy, experts_dim, count + 1)
    # [tokens...] each: the last value that is chosen, and the first that is not.
    last, next_one = (
        mtf.reduce_sum(noise.noisy * rank.mask, reduced_dim=experts_dim) for rank in ranks[-2:]
    )
    chosen = mtf.add_n([rank.mask for rank in ranks[:-1]])  # [tokens..., experts]
    # The k-th largest of the others.
    threshold = chosen * next_one + (1.0 - chosen) * last
    return normal_cdf((noise.clean - threshold) / noise.deviation)


def squared_variation(x: mtf.Tensor, unbiased: bool = False) -> mtf.Tensor:
    """Returns CV^2 of x `[experts]`, a scalar; 0 for one expert.

    Args:
        x: a Tensor.
        unbiased: whether the variance is that of a sample, divided by experts - 1, as in FastMoE.
    """
    mean = mtf.reduce_mean(x)
    size = x.shape.size
    variance = mtf.reduce_mean(mtf.square(x - mean))
    if unbiased and size > 1:
        variance *= size / (size - 1)
    return variance / (mtf.square(mean) + 1e-10)


def normal_cdf(x: mtf.Tensor) -> mtf.Tensor:
    """Returns Phi(x), the distribution function of the standard normal distribution."""
    return mtf.cwise(_phi, [x], grad_function=_gradient, name="normal_cdf")


def _phi(x: tf.Tensor) -> tf.Tensor:
    return 0.5 * (1.0 + tf.math.erf(x * math.sqrt(0.5)))


def _gradient(op: mtf.Operation, dy: mtf.Tensor) -> list[mtf.Tensor]:
    return [mtf.cwise(_backward, [op.inputs[0], dy], name="normal_cdf_grad")]


def _backward(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
    return dy * tf.exp(-0.5 * tf.square(x)) / math.sqrt(2.0 * math.pi)
