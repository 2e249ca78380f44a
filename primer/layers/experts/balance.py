"""Balance losses, which make the router use all experts equally.

Switch Transformer (https://arxiv.org/abs/2101.03961), equation 4, here for each group of tokens:

    loss = E * sum_e f_e P_e      f_e the fraction of tokens that choose e, P_e the mean of p_e

`[..., group, experts]` -> scalar. It is 1 for a router without preference. Means are over all
positions of a group, so that padding counts in the denominator, as in Mesh-TensorFlow. Without
groups (no capacity) means are over the tokens of the batch that are not padding, and with
`gshard.assignment` over those of the group.

`MixtureOfExperts.balance_loss` has the names: "switch" counts all choices in f, "gshard" the first
ones (GShard, https://arxiv.org/abs/2006.16668, algorithm 1, times experts), "importance" and
"importance_and_load" are those of Shazeer et al. (`gates.noisy`).
"""

from collections.abc import Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers.experts import choices, router, settings
from primer.layers.experts.gates import noisy
from primer.layers.experts.gates.scores import Scores


def of_choices(
    scores: Scores,
    ranks: Sequence[choices.Choice],
    experts_dim: mtf.Dimension,
    group_dim: mtf.Dimension | None,
    importance: mtf.Tensor | None,
    gating: settings.Gating,
) -> mtf.Tensor | None:
    """Returns the loss of a gating in which tokens choose, a scalar; None if there is none.

    Args:
        scores: Scores `[..., group, experts]`.
        ranks: the choices of each rank, before the second policy removes any.
        experts_dim: the Dimension of the experts.
        group_dim: the Dimension of the tokens of a group, or None without groups.
        importance: a Tensor `[..., group]`, or None.
        gating: settings.Gating.
    """
    if gating.loss == "none" or (gating.loss == "importance_and_load" and not scores.noise):
        return None  # There is no noise in evaluation.
    if gating.loss.startswith("importance"):
        return variation_loss(scores, ranks, experts_dim, importance, gating)
    if group_dim is None:
        return loss_of_tokens(scores.p, ranks, experts_dim, importance, gating)
    if gating.loss == "gshard":
        second, over_text = gating.use_second_place_loss, gating.corrects_gshard
        return ranked_loss(scores.p, ranks, experts_dim, group_dim, importance, second, over_text)
    # [..., group, experts]
    masks = mtf.add_n([mtf.one_hot(r.index, experts_dim, dtype=scores.p.dtype) for r in ranks])
    masks /= len(ranks)
    return switch_loss(scores.p, masks, experts_dim, group_dim, importance)


def variation_loss(
    scores: Scores,
    ranks: Sequence[choices.Choice],
    experts_dim: mtf.Dimension,
    importance: mtf.Tensor | None,
    gating: settings.Gating,
) -> mtf.Tensor:
    """Returns CV(importance)^2, and with "importance_and_load" + CV(load)^2; arguments as above."""
    unbiased = gating.fastmoe_workers is not None

    def over_tokens(x: mtf.Tensor) -> mtf.Tensor:
        if importance is not None:
            x *= choices.has_full_importance(importance)
        return noisy.squared_variation(mtf.reduce_sum(x, output_shape=[experts_dim]), unbiased)

    loss = over_tokens(noisy.gates(ranks))
    count = len(ranks)
    if gating.loss == "importance" or count == experts_dim.size:
        return loss  # Where all experts are chosen, their load is equal.
    assert scores.noise is not None  # See of_choices.
    load = noisy.probability_of_choice(scores.noise, experts_dim, count)
    return loss + over_tokens(load)


def loss_of_tokens(
    p: mtf.Tensor,
    ranks: Sequence[choices.Choice],
    experts_dim: mtf.Dimension,
    importance: mtf.Tensor | None,
    gating: settings.Gating,
) -> mtf.Tensor:
    """Returns the loss "gshard" or "switch" without groups; arguments as above."""
    real = None if importance is None else choices.has_full_importance(importance)

    def product(p: mtf.Tensor, mask: mtf.Tensor) -> mtf.Tensor:
        f, mean_p = (router.mean_by_expert(t, experts_dim, real) for t in (mask, p))
        return mtf.reduce_sum(f * mean_p) * float(experts_dim.size)

    if gating.loss == "switch":
        return product(p, mtf.add_n([rank.mask for rank in ranks]) / len(ranks))
    loss = product(p, ranks[0].mask)
    if gating.use_second_place_loss and len(ranks) > 1:
        loss += 0.5 * product(_without_first(p, ranks, experts_dim), ranks[1].mask)
    return loss


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
    over_text: bool = False,
) -> mtf.Tensor:
    """Returns the loss of top-2 and top-n, a scalar.

    Args:
        p: a Tensor `[..., group, experts]`.
        ranks: the choices of each rank, before the second policy removes any.
        experts_dim, group_dim: Dimensions.
        importance: a Tensor `[..., group]`, or None.
        second_place: whether to add half of the loss of the second choices, for which P is the
            distribution without the best expert.
        over_text: whether f and P are means over the tokens of a group that are not padding.
    """
    first, text = p, None  # [..., group, experts], and the fraction of text [...]
    if importance is not None:
        real = choices.has_full_importance(importance)  # [..., group]
        first = p * real
        text = mtf.reduce_mean(real, reduced_dim=group_dim) + 1e-6 if over_text else None

    def mean_product(p: mtf.Tensor, mask: mtf.Tensor) -> mtf.Tensor:
        product = _balance_product(p, mask, experts_dim, group_dim)  # [...]
        return mtf.reduce_mean(product if text is None else product / mtf.square(text))  # []

    loss = mean_product(first, ranks[0].mask)
    if second_place and len(ranks) > 1:
        loss += 0.5 * mean_product(_without_first(p, ranks, experts_dim), ranks[1].mask)
    return loss


def _without_first(
    p: mtf.Tensor, ranks: Sequence[choices.Choice], experts_dim: mtf.Dimension
) -> mtf.Tensor:
    """Returns the distribution p without the best expert."""
    rest = p * (1.0 - ranks[0].mask)
    return rest / (mtf.reduce_sum(rest, reduced_dim=experts_dim) + 1e-9)  # [..., group, experts]


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
    context: transformer.Context,
    loss: mtf.Tensor | None,
    gating: settings.Gating,
    dtype: tf.DType,
) -> None:
    """Adds the balance loss (and z-loss) to the model's losses, unless these are None.

    Args:
        context: a transformer.Context.
        loss: a float32 scalar, or None for no loss.
        gating: settings.Gating.
        dtype: the type of the model's losses.

    Raises:
        ValueError: Mesh-TensorFlow's layer stack recomputes gradients.
    """
    if context.losses is None or loss is None:
        return
    stack = getattr(context.model, "layer_stack", None)
    if getattr(stack, "_recompute_grads", False):
        raise ValueError(
            "LayerStack.recompute_grads = True: a layer of Mesh-TensorFlow's LayerStack can return "
            f"only its output then, and {gating.owner} has a balance loss; use "
            'recompute = "layers" with layer_stack = @PreNormLayerStack'
        )
    context.losses.append(mtf.cast(loss * gating.loss_coef, dtype))


def _balance_product(
    p: mtf.Tensor, mask: mtf.Tensor, experts_dim: mtf.Dimension, group_dim: mtf.Dimension
) -> mtf.Tensor:
    """Returns E * sum_e f_e P_e `[...]` of each group."""
    fraction = mtf.reduce_mean(mask, reduced_dim=group_dim)  # [..., experts]
    mean_p = mtf.reduce_mean(p, reduced_dim=group_dim)  # [..., experts]
    return mtf.reduce_sum(fraction * mean_p, reduced_dim=experts_dim) * float(experts_dim.size)
