"""Balance losses, which make the router use all experts equally.

Switch Transformer (https://arxiv.org/abs/2101.03961), equation 4, here for each group of tokens:

    loss = E * sum_e f_e P_e      f_e the fraction of tokens that choose e, P_e the mean of p_e

`[..., group, experts]` -> scalar. It is 1 for a router without preference. Means are over all
positions of a group, so that padding counts in the denominator, as in Mesh-TensorFlow.
"""

from collections.abc import Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers.experts import choices, settings


def switch_loss(
    p: mtf.Tensor,
    masks: mtf.Tensor,
    experts_dim: mtf.Dimension,
    group_dim: mtf.Dimension,
    importance: mtf.Tensor | None,
) -> mtf.Tensor:
    """Returns the loss of the gatings with one expert per token, a scalar.

    As released, f and P include padding (its input is zero: no preference in P, the first expert in
    f), and the loss of a group is multiplied by the fraction of its positions that are not padding.

    Args:
        p: a Tensor `[..., group, experts]`.
        masks: the one-hot choices of all tokens, including padding, `[..., group, experts]`.
        experts_dim, group_dim: Dimensions.
        importance: a Tensor `[..., group]`, or None.
    """
    loss = _balance_product(p, masks, experts_dim, group_dim)  # [...]
    if importance is not None:
        loss *= mtf.reduce_mean(choices.has_full_importance(importance), reduced_dim=group_dim)
    return mtf.reduce_mean(loss)  # []


def ranked_loss(
    p: mtf.Tensor,
    ranks: Sequence[choices.Choice],
    experts_dim: mtf.Dimension,
    group_dim: mtf.Dimension,
    importance: mtf.Tensor | None,
    second_place: bool,
) -> mtf.Tensor:
    """Returns the loss of top-2 and top-n, a scalar.

    Args:
        p: a Tensor `[..., group, experts]`.
        ranks: the choices of each rank, before the second policy removes any.
        experts_dim, group_dim: Dimensions.
        importance: a Tensor `[..., group]`, or None.
        second_place: whether to add half of the loss of the second choices, for which P is the
            distribution without the best expert.
    """
    first = p if importance is None else p * choices.has_full_importance(importance)
    loss = mtf.reduce_mean(_balance_product(first, ranks[0].mask, experts_dim, group_dim))  # []
    if second_place and len(ranks) > 1:
        rest = p * (1.0 - ranks[0].mask)
        rest /= mtf.reduce_sum(rest, reduced_dim=experts_dim) + 1e-9  # [..., group, experts]
        second = _balance_product(rest, ranks[1].mask, experts_dim, group_dim)  # [...]
        loss += 0.5 * mtf.reduce_mean(second)
    return loss


def tokens_loss(
    p: mtf.Tensor,
    experts_dim: mtf.Dimension,
    group_dim: mtf.Dimension,
    importance: mtf.Tensor | None,
) -> mtf.Tensor:
    """Returns the loss of expert choice, where experts are balanced and tokens may get no expert.

    Args:
        p: a Tensor `[..., group, experts]`, for each expert a distribution over the group. The loss
            is smallest where its mean over experts is uniform.
        experts_dim, group_dim: Dimensions.
        importance: a Tensor `[..., group]`, or None.
    """
    share = mtf.reduce_mean(p, reduced_dim=experts_dim)  # [..., group]
    size = float(group_dim.size)
    if importance is None:
        return mtf.reduce_mean(mtf.square(share)) * size * size
    share *= choices.has_full_importance(importance)
    num_tokens = mtf.reduce_sum(importance, reduced_dim=group_dim)  # [...]
    return mtf.reduce_mean(mtf.square(share) * num_tokens) * size


def add_loss(
    context: transformer.Context, loss: mtf.Tensor, gating: settings.Gating, dtype: tf.DType
) -> None:
    """Adds the balance loss (and z-loss) to the model's losses, unless these are None.

    Args:
        context: a transformer.Context.
        loss: a float32 scalar.
        gating: settings.Gating.
        dtype: the type of the model's losses.

    Raises:
        ValueError: the layer stack recomputes gradients.
    """
    if context.losses is None:
        return
    stack = getattr(context.model, "layer_stack", None)
    if getattr(stack, "_recompute_grads", False):
        raise ValueError(
            "LayerStack.recompute_grads = True: a recomputed layer can return only its output, "
            f"and {gating.owner} has a balance loss; set it to False"
        )
    context.losses.append(mtf.cast(loss * gating.loss_coef, dtype))


def _balance_product(
    p: mtf.Tensor, mask: mtf.Tensor, experts_dim: mtf.Dimension, group_dim: mtf.Dimension
) -> mtf.Tensor:
    """Returns E * sum_e f_e P_e `[...]` of each group."""
    fraction = mtf.reduce_mean(mask, reduced_dim=group_dim)  # [..., experts]
    mean_p = mtf.reduce_mean(p, reduced_dim=group_dim)  # [..., experts]
    return mtf.reduce_sum(fraction * mean_p, reduced_dim=experts_dim) * float(experts_dim.size)
