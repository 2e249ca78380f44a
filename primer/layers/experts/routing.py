"""From the tokens of each group to a plan and a loss: a gating in one call.

choices in order of the text     switch, top_2, top_n
best gates first                 switch_max
the next best if one is full     ntlb
experts choose tokens            expert_choice
"""

import dataclasses

import mesh_tensorflow as mtf

from primer.layers.experts import (
    balance,
    capacity,
    choices,
    expert_choice,
    router,
    settings,
    statistics,
)


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The tokens of each group.

    Attributes:
        x: a Tensor `[..., group, d_model]`.
        group_dim: the Dimension of the tokens of a group.
        importance: a Tensor `[..., group]`: 1, 0 for padding, 0.5 for what may have one expert only
            (`choices`); or None if all are 1.
    """

    x: mtf.Tensor
    group_dim: mtf.Dimension
    importance: mtf.Tensor | None


def route(tokens, experts_dim, places_dim, gating, context, name, outer_expert_dims=()):
    """Plans the way of the tokens of each group to the experts.

    Args:
        tokens: Tokens.
        experts_dim: the Dimension of the experts, not split over the mesh.
        places_dim: the Dimension of the places that each has for a group.
        gating: settings.Gating.
        context: a transformer.Context; reports statistics in training.
        name: of the router's variable scope.
        outer_expert_dims: dimensions of x that have routers of their own.

    Returns:
        a capacity.Plan, and the loss: a float32 scalar, not yet multiplied by loss_coef.
    """
    train, importance = context.train, tokens.importance
    logits = router.logits(
        tokens.x, experts_dim, gating, train, context.variable_dtype, name, outer_expert_dims
    )
    plan_fn = _expert_choice if gating.gating == "expert_choice" else _token_choice
    plan, loss = plan_fn(tokens, logits, experts_dim, places_dim, gating, train)
    microbatches = context.num_microbatches or 1
    balance_loss, loss = loss, loss / microbatches
    if train:
        real = None if importance is None else choices.certain(importance)
        z = router.z_loss(logits, experts_dim, real)
        scope = name.replace("gating", "router")
        statistics.report(
            plan, logits, [*outer_expert_dims, experts_dim], real, balance_loss, z, scope
        )
        if gating.z_loss is not None:
            loss += gating.z_loss * z / microbatches
    return plan, loss


def _expert_choice(tokens, logits, experts_dim, places_dim, gating, train):
    del gating, train
    group_dim, importance = tokens.group_dim, tokens.importance
    p = expert_choice.affinities(logits, group_dim, importance)
    plan = expert_choice.plan(p, experts_dim, group_dim, places_dim, importance, tokens.x.dtype)
    return plan, balance.tokens_loss(p, experts_dim, group_dim, importance)


def _token_choice(tokens, logits, experts_dim, places_dim, gating, train):
    p = mtf.softmax(logits, experts_dim)
    ranks = choices.ranked(p, logits, experts_dim, tokens.importance, gating, train)
    loss = _balance_loss(tokens, p, ranks, experts_dim, gating)
    ranks = choices.thinned(ranks, gating, train)
    dims = (experts_dim, tokens.group_dim, places_dim, tokens.x.dtype)
    if gating.gating == "switch_max":
        return capacity.best_first(ranks[0], *dims), loss
    fill = capacity.next_best if gating.gating == "ntlb" else capacity.in_order
    return fill(ranks, *dims), loss


def _balance_loss(tokens, p, ranks, experts_dim, gating):
    group_dim, importance = tokens.group_dim, tokens.importance
    if gating.gating in settings.RANKED:
        second = gating.use_second_place_loss
        return balance.ranked_loss(p, ranks, experts_dim, group_dim, importance, second)
    masks = mtf.add_n([mtf.one_hot(r.index, experts_dim, dtype=p.dtype) for r in ranks])
    masks /= len(ranks)
    return balance.switch_loss(p, masks, experts_dim, group_dim, importance)
