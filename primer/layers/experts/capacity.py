"""Assigns the tokens of a group to the slots of the experts that they chose.

Shapes must be static, so that every expert has `capacity` slots for each group of tokens
(Switch Transformer, https://arxiv.org/abs/2101.03961, section 2.2):

    capacity = group size * capacity factor / experts

A token without a slot is dropped: the layer's output for it is zero and only the residual
connection passes it on. A Plan holds the assignment in two tensors
`[..., group, experts, expert_capacity]`: `dispatch`, 1 where a token has a slot, and `combine`, the
gate there.
"""

import dataclasses
import math
from collections.abc import Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers.experts import choices, settings


@dataclasses.dataclass(frozen=True)
class Plan:
    """The assignment of the tokens of each group to slots.

    Attributes:
        dispatch, combine: Tensors `[..., group, experts, expert_capacity]`, in any order.
        chosen: a Tensor `[..., group, experts]`, 1 for each expert that a token chose.
        routed: a Tensor `[..., group]`, 1 for each token that has a slot at any expert.
        first: a Tensor `[..., group, experts]`, 1 for a token's best expert; None in expert choice.
    """

    dispatch: mtf.Tensor
    combine: mtf.Tensor
    chosen: mtf.Tensor
    routed: mtf.Tensor
    first: mtf.Tensor | None = None


def capacity_dim(
    group_dim: mtf.Dimension,
    experts_dim: mtf.Dimension,
    gating: settings.Gating,
    factor: float | None,
    name: str = "expert_capacity",
) -> mtf.Dimension:
    """Returns the Dimension of an expert's slots for each group, at most as many as tokens.

    Args:
        group_dim: the Dimension of the tokens of a group.
        experts_dim: the Dimension of the experts.
        gating: settings.Gating, which has the least capacity.
        factor: the capacity factor; None only with GShard's assignment.
        name: the Dimension's name.
    """
    if gating.assignment is not None:
        least = gating.min_expert_capacity
        count = gating.assignment.count_slots(group_dim.size, experts_dim.size, factor, least)
        return mtf.Dimension(name, count)
    assert factor is not None  # See Gating.limits_tokens.
    if gating.has_released_capacity:
        count = _released_count(group_dim.size, experts_dim.size, gating, factor)
    else:
        count = max(int(group_dim.size * factor / experts_dim.size), gating.min_expert_capacity)
    return mtf.Dimension(name, min(group_dim.size, count))


def _released_count(
    group_size: int, num_experts: int, gating: settings.Gating, factor: float
) -> int:
    """Returns the slots of FastMoE's gates, which count the choices of a token (top_2)."""
    if gating.gating == "top_2":
        return max(1, math.ceil(factor * group_size) * 2 // num_experts)
    return math.ceil(factor * group_size / num_experts)


def in_order(
    ranks: Sequence[choices.Choice],
    experts_dim: mtf.Dimension,
    group_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    dtype: tf.DType,
    normalizes: bool = False,
) -> Plan:
    """Assigns slots to the first choices of all tokens in their order, then to second choices.

    Args:
        ranks: a list of choices.Choice `[..., group]`.
        experts_dim, group_dim, slots_dim: Dimensions.
        dtype: the type of dispatch and combine.
        normalizes: whether the gates of a token's choices that have a slot are made to sum to 1.
    """
    taken, kept, slots, num_slots = 0.0, [], [], 0.0
    for rank in ranks:
        # [..., group, experts], the slot that each choice gets if there is room.
        slot = (mtf.cumsum(rank.mask, group_dim, exclusive=True) + taken) * rank.mask
        mask = rank.mask * mtf.to_float(mtf.less(slot, float(slots_dim.size)))
        taken += mtf.reduce_sum(mask, reduced_dim=group_dim)  # [..., experts]
        num_slots += mtf.reduce_sum(mask, reduced_dim=experts_dim)  # [..., group]
        kept.append(dataclasses.replace(rank, mask=mask))
        slots.append(slot)
    if normalizes:
        kept = choices.normalized_by_mask(kept, experts_dim)
    combines = [
        combine(rank.gate, rank.mask, slot, experts_dim, slots_dim, dtype)
        for rank, slot in zip(kept, slots)
    ]
    chosen = mtf.add_n([rank.mask for rank in ranks])  # [..., group, experts]
    return plan_of(mtf.add_n(combines), chosen, mtf.minimum(num_slots, 1.0), ranks[0].mask)


def next_best(
    ranks: Sequence[choices.Choice],
    experts_dim: mtf.Dimension,
    group_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    dtype: tf.DType,
) -> Plan:
    """Assigns tokens whose expert is full to their next best expert: "no token left behind".

    Switch Transformer, appendix B. Arguments as for `in_order`; a token gets at most one slot.
    """
    taken, combines, unrouted = 0.0, [], 1.0
    for rank in ranks:
        wants = rank.mask * unrouted  # [..., group, experts]
        slot = (mtf.cumsum(wants, group_dim, exclusive=True) + taken) * wants
        mask = wants * mtf.to_float(mtf.less(slot, float(slots_dim.size)))
        taken += mtf.reduce_sum(mask, reduced_dim=group_dim)  # [..., experts]
        unrouted += -mtf.reduce_sum(mask, reduced_dim=experts_dim)  # [..., group]
        combines.append(combine(rank.gate, mask, slot, experts_dim, slots_dim, dtype))
    return plan_of(mtf.add_n(combines), ranks[0].mask, 1.0 - unrouted, ranks[0].mask)


def best_first(
    choice: choices.Choice,
    experts_dim: mtf.Dimension,
    group_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    dtype: tf.DType,
) -> Plan:
    """Assigns the slots of an expert to the tokens with the highest gates (`switch_max`)."""
    # [..., experts, expert_capacity] each
    gates, tokens = mtf.top_k(choice.mask * choice.gate, group_dim, slots_dim)
    # A slot that no token chose holds a token with gate zero.
    dispatch = mtf.one_hot(tokens, group_dim, dtype=dtype)  # [..., experts, expert_capacity, group]
    routed = mtf.reduce_sum(
        mtf.to_float(mtf.greater(gates, 0.0)) * mtf.to_float(dispatch),
        output_shape=choice.gate.shape,
    )  # [..., group]
    return plan_of(dispatch * mtf.cast(gates, dtype), choice.mask, routed, choice.mask)


def combine(
    gate: mtf.Tensor,
    mask: mtf.Tensor,
    slot: mtf.Tensor,
    experts_dim: mtf.Dimension,
    slots_dim: mtf.Dimension,
    dtype: tf.DType,
) -> mtf.Tensor:
    """Returns the gate at the token's expert and slot; zero for a token that was dropped.

    Args:
        gate: a Tensor `[..., group]`.
        mask: a Tensor `[..., group, experts]`, 1 for the token's expert, if it has a slot there.
        slot: a Tensor like mask, the number of the slot.
        experts_dim, slots_dim: Dimensions.
        dtype: the type of the result `[..., group, experts, expert_capacity]`.
    """
    gates = mtf.cast(gate * mask, dtype)  # [..., group, experts]
    slot = mtf.to_int32(mtf.reduce_sum(slot * mask, reduced_dim=experts_dim))  # [..., group]
    # [..., group, experts, expert_capacity]
    return gates * mtf.one_hot(slot, slots_dim, dtype=dtype)


def plan_of(combine: mtf.Tensor, chosen: mtf.Tensor, routed: mtf.Tensor, first: mtf.Tensor) -> Plan:
    """Returns the Plan of a tensor `combine`; arguments as the attributes of a Plan."""
    dispatch = mtf.cast(mtf.cast(combine, tf.bool), combine.dtype)
    return Plan(dispatch, combine, chosen, routed, first)
