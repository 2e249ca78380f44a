"""Expert choice: every expert takes the tokens with the highest affinity to it.

Zhou et al. (https://arxiv.org/abs/2202.09368). The experts are balanced by construction, and any
number of experts may process a token. As in Mesh-TensorFlow's `expert_selection`, an expert's
affinities are a distribution over the tokens t of a group, and the outputs of several experts are
averaged:

    p_te = softmax over t of (x_t . w_e)                            [..., group, experts]
    y_t = mean over the experts e that took t of  p_te f_e(x_t)     [..., group, d_model]

The choice depends on all tokens of the group: on later ones of a text, and on other texts.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers.experts import capacity, choices


def affinities(
    logits: mtf.Tensor, group_dim: mtf.Dimension, importance: mtf.Tensor | None
) -> mtf.Tensor:
    """Returns p, for each expert a distribution over the tokens that are not padding.

    Args:
        logits: a Tensor `[..., group, experts]`.
        group_dim: the Dimension of the tokens.
        importance: a Tensor `[..., group]`, or None.

    Returns:
        A Tensor `[..., group, experts]`.
    """
    if importance is not None:
        logits += mtf.to_float(mtf.equal(importance, 0.0)) * -1e9
    return mtf.softmax(logits, reduced_dim=group_dim)  # [..., group, experts]


def plan(
    p: mtf.Tensor,
    experts_dim: mtf.Dimension,
    group_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    importance: mtf.Tensor | None,
    dtype: tf.DType,
) -> capacity.Plan:
    """Returns the capacity.Plan in which every expert takes its best tokens.

    Args:
        p: the affinities `[..., group, experts]`.
        experts_dim, group_dim, slots_dim: Dimensions.
        importance: a Tensor `[..., group]`, or None.
        dtype: the type of dispatch and combine.
    """
    # [..., experts, expert_capacity] each
    gates, tokens = mtf.top_k(p, reduced_dim=group_dim, k_dim=slots_dim)
    # [..., experts, expert_capacity, group]
    taken = mtf.one_hot(tokens, group_dim, dtype=p.dtype)
    if importance is not None:
        # An expert with more slots than there are tokens also takes padding.
        taken *= choices.is_not_padding(importance)
    chosen = mtf.reduce_sum(taken, reduced_dim=slots_dim)  # [..., experts, group]
    count = mtf.reduce_sum(chosen, reduced_dim=experts_dim)  # [..., group]
    dispatch = mtf.cast(taken, dtype)
    # [..., experts, expert_capacity, group]
    combine = mtf.cast(taken * gates / mtf.maximum(count, 1.0), dtype)
    return capacity.Plan(dispatch, combine, chosen, mtf.minimum(count, 1.0))
