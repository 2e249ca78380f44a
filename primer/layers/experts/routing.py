"""Computes from the tokens of each group their assignment to experts and the router's losses.

The gatings (`MixtureOfExperts.gating`, whose papers `layer` lists) differ in how the slots are
assigned. `[..., group, d_model]` -> a Plan `[..., group, experts, expert_capacity]`:

    switch, top_2, top_n    in the order of the tokens
    switch_max              the highest gates first
    ntlb                    in the order of the tokens; if the best expert is full, the next best
    expert_choice           experts choose tokens
"""

import dataclasses
from collections.abc import Sequence

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer

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
        importance: a Tensor `[..., group]`: 1, 0 for padding, 0.5 for tokens that may choose only
            one expert (`choices`); or None if all are 1.
    """

    x: mtf.Tensor
    group_dim: mtf.Dimension
    importance: mtf.Tensor | None


def route(
    tokens: Tokens,
    experts_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    gating: settings.Gating,
    context: transformer.Context,
    name: str,
    outer_expert_dims: Sequence[mtf.Dimension] = (),
) -> tuple[capacity.Plan, mtf.Tensor]:
    """Assigns the tokens of each group to experts; reports statistics in training.

    Args:
        tokens: Tokens.
        experts_dim: the Dimension of the experts, not split over the mesh.
        slots_dim: the Dimension of the slots of an expert for a group.
        gating: settings.Gating.
        context: a transformer.Context.
        name: the scope of the router's variable.
        outer_expert_dims: dimensions of x that have routers of their own.

    Returns:
        A capacity.Plan, and the loss: a float32 scalar, not yet multiplied by loss_coef.
    """
    train, importance = context.train, tokens.importance
    logits = router.logits(
        tokens.x, experts_dim, gating, train, context.variable_dtype, name, outer_expert_dims
    )  # [..., group, experts]
    plan_fn = _expert_choice if gating.gating == "expert_choice" else _token_choice
    plan, loss = plan_fn(tokens, logits, experts_dim, slots_dim, gating, train)
    microbatches = context.num_microbatches or 1
    balance_loss, loss = loss, loss / microbatches
    if train:
        real = None if importance is None else choices.has_full_importance(importance)
        z = router.z_loss(logits, experts_dim, real)
        scope = name.replace("gating", "router")
        statistics.report(
            plan, logits, [*outer_expert_dims, experts_dim], real, balance_loss, z, scope
        )
        if gating.z_loss is not None:
            loss += gating.z_loss * z / microbatches
    return plan, loss


def _expert_choice(
    tokens: Tokens,
    logits: mtf.Tensor,
    experts_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    gating: settings.Gating,
    train: bool,
) -> tuple[capacity.Plan, mtf.Tensor]:
    """Returns the Plan and the balance loss where experts choose tokens."""
    del gating, train
    group_dim, importance = tokens.group_dim, tokens.importance
    p = expert_choice.affinities(logits, group_dim, importance)  # [..., group, experts]
    plan = expert_choice.plan(p, experts_dim, group_dim, slots_dim, importance, tokens.x.dtype)
    return plan, balance.tokens_loss(p, experts_dim, group_dim, importance)


def _token_choice(
    tokens: Tokens,
    logits: mtf.Tensor,
    experts_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    gating: settings.Gating,
    train: bool,
) -> tuple[capacity.Plan, mtf.Tensor]:
    """Returns the Plan and the balance loss where tokens choose experts."""
    p = mtf.softmax(logits, experts_dim)  # [..., group, experts]
    ranks = choices.ranked(p, logits, experts_dim, tokens.importance, gating, train)
    loss = _balance_loss(tokens, p, ranks, experts_dim, gating)
    ranks = choices.apply_second_policy(ranks, gating, train)
    dims = (experts_dim, tokens.group_dim, slots_dim, tokens.x.dtype)
    if gating.gating == "switch_max":
        return capacity.best_first(ranks[0], *dims), loss
    assign = capacity.next_best if gating.gating == "ntlb" else capacity.in_order
    return assign(ranks, *dims), loss


def _balance_loss(
    tokens: Tokens,
    p: mtf.Tensor,
    ranks: Sequence[choices.Choice],
    experts_dim: mtf.Dimension,
    gating: settings.Gating,
) -> mtf.Tensor:
    group_dim, importance = tokens.group_dim, tokens.importance
    if gating.gating in settings.RANKED:
        second = gating.use_second_place_loss
        return balance.ranked_loss(p, ranks, experts_dim, group_dim, importance, second)
    # [..., group, experts]
    masks = mtf.add_n([mtf.one_hot(r.index, experts_dim, dtype=p.dtype) for r in ranks])
    masks /= len(ranks)
    return balance.switch_loss(p, masks, experts_dim, group_dim, importance)
