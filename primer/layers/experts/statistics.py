"""Router statistics for TensorBoard: load, dropped tokens, entropy, z-loss, balance loss.

In training, under the scope of the router's variable, with "router" for "gating", such as
`transformer/block_000/layer_001/MoE1D/switch_router/`:

    load/expert_000 ...   the fraction of the tokens' choices that select this expert (in expert
                          choice: of the experts' choices, those of this expert)
    dropped_tokens        the fraction of the tokens that no expert processes; 0 without capacity
    entropy               of the router's distribution over the experts, mean over tokens, in nats
    z_loss, balance_loss  without their coefficients; the second where the gating has one

All but the balance loss (`balance`) exclude padding.
"""

from collections.abc import Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers.experts import router


def report(
    chosen: mtf.Tensor,
    routed: mtf.Tensor,
    logits: mtf.Tensor,
    experts_dims: Sequence[mtf.Dimension],
    real: mtf.Tensor | None,
    balance: mtf.Tensor | None,
    z: mtf.Tensor,
    scope: str,
) -> None:
    """Writes the statistics of one routing as `mtf.scalar_summary`.

    Args:
        chosen: a Tensor `[..., group, experts]`, 1 for each expert that a token chose.
        routed: a Tensor `[..., group]`, 1 for each token that any expert processes.
        logits: a Tensor `[..., group, experts]`.
        experts_dims: the Dimensions of the experts, the router's last.
        real: a Tensor `[..., group]`, 1 for the tokens that count, or None for all.
        balance: the balance loss, a scalar, or None if there is none.
        z: the z-loss, a scalar.
        scope: the scope of the names.
    """
    with tf.variable_scope(scope):
        for number, load in enumerate(loads(chosen, experts_dims)):
            mtf.scalar_summary(f"load/expert_{number:03d}", load)
        routed = routed if real is None else routed * real  # [..., group]
        mtf.scalar_summary("dropped_tokens", 1.0 - router.mean(routed, real))
        mtf.scalar_summary("entropy", router.entropy(logits, experts_dims[-1], real))
        mtf.scalar_summary("z_loss", z)
        if balance is not None:
            mtf.scalar_summary("balance_loss", balance)


def loads(chosen: mtf.Tensor, experts_dims: Sequence[mtf.Dimension]) -> list[mtf.Tensor]:
    """Returns the fraction of all choices that selected each expert, one scalar per expert.

    Args:
        chosen: a Tensor `[..., group, experts]`, 1 for each expert that a token chose.
        experts_dims: the Dimensions of the experts.
    """
    counts = mtf.reduce_sum(chosen, output_shape=experts_dims)  # [experts...]
    # A name that no layout splits, so that the dimension can be unstacked.
    number = mtf.Dimension("expert_number", counts.shape.size)
    # [expert_number]
    fractions = mtf.reshape(counts, [number]) / mtf.maximum(mtf.reduce_sum(counts), 1.0)
    return mtf.unstack(fractions, number)
