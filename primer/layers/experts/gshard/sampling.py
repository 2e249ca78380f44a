"""Draws the second expert of a token by its probability among the experts without the first.

GShard's experts in Lingvo (`second_expert_policy = "sampling"`), by the Gumbel-max trick
(https://arxiv.org/abs/1611.01144, equation 1), with u from the uniform distribution:

    second = argmax over e, but the first, of  logit_e - ln(-ln u_e)        [..., experts] -> [...]
"""

import mesh_tensorflow as mtf

# Below every number that a uniform distribution in float32 draws except 0, whose logarithm is -inf.
LEAST_UNIFORM = 1e-30


def noisy_logits(logits: mtf.Tensor, uniform: mtf.Tensor) -> mtf.Tensor:
    """Returns logits plus Gumbel noise, whose argmax is a draw from their softmax.

    Args:
        logits: a Tensor `[..., experts]`.
        uniform: random numbers in 0 ... 1 like logits.
    """
    return logits - mtf.log(-mtf.log(mtf.maximum(uniform, LEAST_UNIFORM)))  # [..., experts]
