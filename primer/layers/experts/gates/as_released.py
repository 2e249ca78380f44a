"""GShard's and Switch's gate as FastMoE's own code computes them (`fastmoe_workers`).

laekov/fastmoe, `fmoe/gates/gshard_gate.py` and `switch_gate.py`, on W workers with E / W experts
each. A group has N tokens, p is the softmax of the logits `[..., group, experts]`, a the capacity
factor:

    GShardGate   slots = ceil(a N) 2 // E; tokens in their order, both choices of a token at once
                 loss = mean over e of (c_e m_e) * (E / W)^2
    SwitchGate   logits + random numbers in 1 - jitter ... 1 + jitter (`scores`)
                 slots = ceil(a N / E)
                 loss = E sum_e f_e P_e, with both sums over tokens divided by those that were kept

c_e is the fraction of tokens whose first choice is e and m_e the mean of p_e: GShard's loss is that
of GShardGate times W^2. The first choice is column 0 of `torch.topk(sorted=False)`: the best expert
where a token has two (PyTorch 2.13 on CPU), mostly another one where it has more. Random routing
comes after the slots are assigned, so that choices that it removes keep theirs.
"""

from collections.abc import Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers.experts import capacity, choices, settings
from primer.layers.experts.gates.scores import Scores


def route(
    scores: Scores,
    ranks: Sequence[choices.Choice],
    experts_dim: mtf.Dimension,
    group_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    real: mtf.Tensor | None,
    gating: settings.Gating,
    train: bool,
    dtype: tf.DType,
) -> tuple[capacity.Plan, mtf.Tensor | None]:
    """Returns the Plan, and the loss: a scalar, the mean over groups; None without.

    Args:
        scores: Scores `[..., group, experts]`.
        ranks: the choices of each token.
        experts_dim, group_dim, slots_dim: Dimensions.
        real: a Tensor `[..., group]`, 1 for tokens and 0 for padding, or None.
        gating: settings.Gating of "top_2" or "switch".
        train: whether the settings of training apply.
        dtype: the type of the Plan's tensors.
    """
    chosen = mtf.add_n([rank.mask for rank in ranks])  # [..., group, experts]
    before = mtf.cumsum(chosen, group_dim, exclusive=True)
    kept = chosen * mtf.to_float(mtf.less(before, float(slots_dim.size)))
    p = scores.p if real is None else scores.p * real
    if gating.gating == "switch":
        loss = _switch_loss(p, kept, experts_dim, group_dim)
    else:
        loss = _gshard_loss(p, ranks[0].mask, experts_dim, group_dim, real, gating)
    ranks = choices.apply_second_policy(list(ranks), gating, train)
    combines = [
        capacity.combine(rank.gate, rank.mask * kept, before, experts_dim, slots_dim, dtype)
        for rank in ranks
    ]
    used = mtf.add_n([rank.mask for rank in ranks]) * kept
    routed = mtf.minimum(mtf.reduce_sum(used, reduced_dim=experts_dim), 1.0)  # [..., group]
    plan = capacity.plan_of(mtf.add_n(combines), chosen, routed, ranks[0].mask)
    return plan, None if gating.loss == "none" else loss


def _gshard_loss(
    p: mtf.Tensor,
    first: mtf.Tensor,
    experts_dim: mtf.Dimension,
    group_dim: mtf.Dimension,
    real: mtf.Tensor | None,
    gating: settings.Gating,
) -> mtf.Tensor:
    number = float(group_dim.size) if real is None else _count(real, group_dim)
    # [..., experts]
    fraction, mean_p = (mtf.reduce_sum(t, reduced_dim=group_dim) / number for t in (first, p))
    assert gating.fastmoe_workers is not None
    factor = (experts_dim.size / gating.fastmoe_workers) ** 2
    return mtf.reduce_mean(fraction * mean_p) * factor


def _switch_loss(
    p: mtf.Tensor, kept: mtf.Tensor, experts_dim: mtf.Dimension, group_dim: mtf.Dimension
) -> mtf.Tensor:
    number = _count(mtf.reduce_sum(kept, reduced_dim=experts_dim), group_dim)  # [...]
    # [..., experts]
    fraction, sum_p = (mtf.reduce_sum(t, reduced_dim=group_dim) / number for t in (kept, p))
    product = mtf.reduce_sum(fraction * sum_p, reduced_dim=experts_dim)  # [...]
    return mtf.reduce_mean(product) * float(experts_dim.size)


def _count(ones: mtf.Tensor, group_dim: mtf.Dimension) -> mtf.Tensor:
    """Returns the sum over a group, at least 1."""
    return mtf.maximum(mtf.reduce_sum(ones, reduced_dim=group_dim), 1.0)
