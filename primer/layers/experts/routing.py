"""Computes from the tokens of each group their assignment to experts and the router's losses.

The gatings (`MixtureOfExperts.gating`, whose papers `layer` lists) differ in how the slots are
assigned. `[..., group, d_model]` -> a Plan `[..., group, experts, expert_capacity]`:

    switch, top_2, top_n    in the order of the tokens
    switch_max              the highest gates first
    ntlb                    in the order of the tokens; if the best expert is full, the next best
    expert_choice           experts choose tokens
    naive, noisy            in the order of the tokens, if there is a capacity

`choose` is for layers without capacity.
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
    groups,
    padding,
    router,
    settings,
    statistics,
    undropped,
)
from primer.layers.experts.gates import as_released
from primer.layers.experts.gates import scores as gate_scores


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


def grouped_tokens(
    context: transformer.Context, x: mtf.Tensor, gating: settings.Gating, name: str = "group"
) -> tuple[Tokens, groups.Groups]:
    """Returns Tokens of x, and the groups.Groups they are in.

    Args:
        context: a transformer.Context.
        x: a Tensor `[batch, length, d_model]`, or with outer_batch first.
        gating: settings.Gating.
        name: the name of the dimension of the tokens in a group.
    """
    size, assignment = gating.group_size, gating.assignment
    if assignment is not None:
        size = assignment.group_size(x, context.train, context.model)
    grouped = groups.of_batch(x, size, context.model, name)
    importance = padding.importance(context, x)  # [batch, length]
    if importance is not None:
        importance = grouped.to_groups(importance)  # [outer_batch, batch, group]
    return Tokens(grouped.to_groups(x), grouped.group_dim, importance), grouped


def route(
    tokens: Tokens,
    experts_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    gating: settings.Gating,
    context: transformer.Context,
    name: str,
    outer_expert_dims: Sequence[mtf.Dimension] = (),
) -> tuple[capacity.Plan, mtf.Tensor | None]:
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
        A capacity.Plan, and the loss: a float32 scalar, not yet multiplied by loss_coef, or None if
        there is none.
    """
    scores = gate_scores.compute(
        tokens.x, experts_dim, gating, context, name, outer_expert_dims
    )  # [..., group, experts]
    plan_fn = _expert_choice if gating.gating == "expert_choice" else _token_choice
    plan, loss = plan_fn(tokens, scores, experts_dim, slots_dim, gating, context.train)
    routing = _Routing(plan.chosen, plan.routed, scores.logits, [*outer_expert_dims, experts_dim])
    return plan, _losses(routing, tokens.importance, loss, gating, context, name)


def choose(
    tokens: Tokens,
    experts_dim: mtf.Dimension,
    gating: settings.Gating,
    context: transformer.Context,
    name: str,
) -> tuple[mtf.Tensor, mtf.Tensor, mtf.Tensor | None]:
    """Chooses the experts of each token without capacity, as `route` does otherwise.

    Args:
        tokens: Tokens `[tokens..., d_model]` in no groups.
        experts_dim, gating, context, name: as for `route`.

    Returns:
        The index (int32) and the gate (float32) of each choice, `[tokens..., expert_choice]`, as in
        `undropped.choose`; and the loss.
    """
    scores = gate_scores.compute(tokens.x, experts_dim, gating, context, name)
    ranks = choices.ranked(
        scores.p, scores.logits, experts_dim, tokens.importance, gating, context.train
    )
    loss = balance.of_choices(scores, ranks, experts_dim, None, tokens.importance, gating)
    ranks = choices.apply_second_policy(ranks, gating, context.train)
    ranks = choices.without_slots(ranks, gating)
    chosen = mtf.add_n([rank.mask for rank in ranks])  # [tokens..., experts]
    routed = mtf.minimum(mtf.reduce_sum(chosen, reduced_dim=experts_dim), 1.0)  # [tokens...]
    routing = _Routing(chosen, routed, scores.logits, [experts_dim])
    loss = _losses(routing, tokens.importance, loss, gating, context, name)
    return *undropped.stack(ranks, experts_dim, "expert_choice"), loss


@dataclasses.dataclass(frozen=True)
class _Routing:
    """What the statistics are about; as for `statistics.report`."""

    chosen: mtf.Tensor
    routed: mtf.Tensor
    logits: mtf.Tensor
    experts_dims: Sequence[mtf.Dimension]


def _losses(
    routing: _Routing,
    importance: mtf.Tensor | None,
    balance_loss: mtf.Tensor | None,
    gating: settings.Gating,
    context: transformer.Context,
    name: str,
) -> mtf.Tensor | None:
    """Returns the balance loss and the z-loss for one microbatch; reports statistics."""
    microbatches = context.num_microbatches or 1
    loss = None if balance_loss is None else balance_loss / microbatches
    if not context.train:
        return loss
    real = None if importance is None else choices.has_full_importance(importance)
    z = router.z_loss(routing.logits, routing.experts_dims[-1], real)
    scope = name.replace("gating", "router")
    statistics.report(
        routing.chosen,
        routing.routed,
        routing.logits,
        routing.experts_dims,
        real,
        balance_loss,
        z,
        scope,
    )
    if gating.z_loss is None:
        return loss
    z *= gating.z_loss / microbatches
    return z if loss is None else loss + z


def _expert_choice(
    tokens: Tokens,
    scores: gate_scores.Scores,
    experts_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    gating: settings.Gating,
    train: bool,
) -> tuple[capacity.Plan, mtf.Tensor | None]:
    """Returns the Plan and the balance loss where experts choose tokens."""
    del train
    group_dim, importance = tokens.group_dim, tokens.importance
    # [..., group, experts]
    p = expert_choice.affinities(scores.logits, group_dim, importance)
    plan = expert_choice.plan(p, experts_dim, group_dim, slots_dim, importance, tokens.x.dtype)
    if gating.loss == "none":
        return plan, None
    return plan, balance.tokens_loss(p, experts_dim, group_dim, importance)


def _token_choice(
    tokens: Tokens,
    scores: gate_scores.Scores,
    experts_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    gating: settings.Gating,
    train: bool,
) -> tuple[capacity.Plan, mtf.Tensor | None]:
    """Returns the Plan and the balance loss where tokens choose experts."""
    importance, group_dim = tokens.importance, tokens.group_dim
    ranks = choices.ranked(scores.p, scores.logits, experts_dim, importance, gating, train)
    dims = (experts_dim, group_dim, slots_dim)
    if gating.has_released_capacity:
        real = None if importance is None else choices.has_full_importance(importance)
        dtype = tokens.x.dtype
        return as_released.route(scores, ranks, *dims, real, gating, train, dtype)
    loss = balance.of_choices(scores, ranks, experts_dim, group_dim, importance, gating)
    ranks = choices.apply_second_policy(ranks, gating, train)
    if gating.gating == "switch_max":
        return capacity.best_first(ranks[0], *dims, tokens.x.dtype), loss
    if gating.gating == "ntlb":
        return capacity.next_best(ranks, *dims, tokens.x.dtype), loss
    return capacity.in_order(ranks, *dims, tokens.x.dtype, gating.corrects_gshard), loss
