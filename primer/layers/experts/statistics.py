"""What a router does, for TensorBoard: load, dropped tokens, entropy, z-loss, balance loss.

In training, under the scope of the router's variable, with "router" for "gating", such as
`transformer/block_000/layer_001/MoE1D/switch_router/`:

    load/expert_000 ...   the fraction of the tokens' choices that name this expert (expert choice:
                          of the tokens taken, those that it took)
    dropped_tokens        the fraction of the tokens that no expert works on
    entropy               of the router's distribution over the experts, mean over tokens, in nats
    z_loss, balance_loss  without their coefficients

Padding counts in none of them but the balance loss (`balance`).
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers.experts import router


def report(plan, logits, experts_dims, real, balance, z, scope):
    """Hands the statistics of one routing to `mtf.scalar_summary`.

    Args:
        plan: a capacity.Plan.
        logits: a Tensor `[..., group, experts]`.
        experts_dims: the Dimensions of the experts, the router's last.
        real: a Tensor `[..., group]`, 1 for the tokens that count, or None for all.
        balance: the balance loss, a scalar.
        z: the z-loss, a scalar.
        scope: of the names.
    """
    with tf.variable_scope(scope):
        for number, load in enumerate(loads(plan.wanted, experts_dims)):
            mtf.scalar_summary(f"load/expert_{number:03d}", load)
        served = plan.served if real is None else plan.served * real
        mtf.scalar_summary("dropped_tokens", 1.0 - router.mean(served, real))
        mtf.scalar_summary("entropy", router.entropy(logits, experts_dims[-1], real))
        mtf.scalar_summary("z_loss", z)
        mtf.scalar_summary("balance_loss", balance)


def loads(wanted, experts_dims):
    """The fraction of all choices that fell on each expert, one scalar each."""
    counts = mtf.reduce_sum(wanted, output_shape=experts_dims)
    # Under a name that no layout splits.
    number = mtf.Dimension("expert_number", counts.shape.size)
    fractions = mtf.reshape(counts, [number]) / mtf.maximum(mtf.reduce_sum(counts), 1.0)
    return mtf.unstack(fractions, number)
