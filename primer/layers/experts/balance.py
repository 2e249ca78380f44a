"""Losses that keep the experts equally busy.

Switch Transformer (https://arxiv.org/abs/2101.03961), equation 4, here for each group of tokens:

    loss = E * sum_e f_e P_e      f_e the fraction of tokens that choose e, P_e the mean of p_e

which is 1 for a router without preference. Means are over all positions of a group, so that padding
counts in the denominator, as in Mesh-TensorFlow, whose numbers these are.
"""

import mesh_tensorflow as mtf

from primer.layers.experts import choices


def switch_loss(p, masks, experts_dim, group_dim, importance):
    """The loss of the gatings with one expert a token.

    As released, f and P see padding (all zeros: no preference in P, the first expert in f), and the
    loss of a group is multiplied by the fraction of its positions that are none.

    Args:
        p: a Tensor `[..., group, experts]`.
        masks: the one-hot choices of all tokens, padding too.
        experts_dim, group_dim: Dimensions.
        importance: a Tensor `[..., group]`, or None.
    """
    loss = _product(p, masks, experts_dim, group_dim)
    if importance is not None:
        loss *= mtf.reduce_mean(choices.certain(importance), reduced_dim=group_dim)
    return mtf.reduce_mean(loss)


def ranked_loss(p, ranks, experts_dim, group_dim, importance, second_place):
    """The loss of top-2 and top-n: of the first choices, and half of that of the second ones.

    `ranks` are the choices before any is left out at random; in `second_place`, P is the
    distribution without the best expert.
    """
    first = p if importance is None else p * choices.certain(importance)
    loss = mtf.reduce_mean(_product(first, ranks[0].mask, experts_dim, group_dim))
    if second_place and len(ranks) > 1:
        rest = p * (1.0 - ranks[0].mask)
        rest /= mtf.reduce_sum(rest, reduced_dim=experts_dim) + 1e-9
        loss += 0.5 * mtf.reduce_mean(_product(rest, ranks[1].mask, experts_dim, group_dim))
    return loss


def tokens_loss(p, experts_dim, group_dim, importance):
    """The loss of expert choice, where experts are equally busy anyway and tokens may be forgotten.

    p `[..., group, experts]` is a distribution over the group: the mean over experts is pushed
    towards uniform.
    """
    share = mtf.reduce_mean(p, reduced_dim=experts_dim)
    size = float(group_dim.size)
    if importance is None:
        return mtf.reduce_mean(mtf.square(share)) * size * size
    share *= choices.certain(importance)
    real = mtf.reduce_sum(importance, reduced_dim=group_dim)
    return mtf.reduce_mean(mtf.square(share) * real) * size


def _product(p, mask, experts_dim, group_dim):
    """E * sum_e f_e P_e `[...]` of each group."""
    fraction = mtf.reduce_mean(mask, reduced_dim=group_dim)
    mean_p = mtf.reduce_mean(p, reduced_dim=group_dim)
    return mtf.reduce_sum(fraction * mean_p, reduced_dim=experts_dim) * float(experts_dim.size)
