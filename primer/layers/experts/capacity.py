"""Room for the tokens of a group: which token stands at which place of which expert.

Shapes must be static, so that every expert has `capacity` places for each group of tokens
(Switch Transformer, https://arxiv.org/abs/2101.03961, section 2.2):

    capacity = group size * capacity factor / experts

What does not fit is dropped: the layer's output is zero there and the residual connection passes
the token on. A Plan says where tokens go by two tensors `[..., group, experts, expert_capacity]`:
`dispatch`, one where a token has a place, and `combine`, the gate there.
"""

import dataclasses

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where the tokens of each group go.

    Attributes:
        dispatch, combine: Tensors `[..., group, experts, expert_capacity]`, in any order.
        wanted: a Tensor `[..., group, experts]`, one for each expert that a token chose.
        served: a Tensor `[..., group]`, one for each token that has a place at some expert.
        first: a Tensor `[..., group, experts]`, one for the expert that a token likes best; None in
            expert choice.
    """

    dispatch: mtf.Tensor
    combine: mtf.Tensor
    wanted: mtf.Tensor
    served: mtf.Tensor
    first: mtf.Tensor | None = None


def places(group_dim, experts_dim, gating, train):
    """The places that each expert has for a group, by the settings.Gating."""
    factor = gating.phase(train).capacity_factor
    return places_dim(group_dim, experts_dim, factor, gating.min_expert_capacity)


def places_dim(group_dim, experts_dim, factor, minimum, name="expert_capacity"):
    """The places of an expert for each group; never more than there are tokens."""
    count = max(int(group_dim.size * factor / experts_dim.size), minimum)
    return mtf.Dimension(name, min(group_dim.size, count))


def in_order(ranks, experts_dim, group_dim, places_dim, dtype):
    """The first choices of all tokens get a place, in the order of the text; then the second ones.

    Args:
        ranks: a list of choices.Choice `[..., group]`.
        experts_dim, group_dim, places_dim: Dimensions.
        dtype: the type of dispatch and combine.
    """
    taken, combines, served = 0.0, [], 0.0
    for rank in ranks:
        place = (mtf.cumsum(rank.mask, group_dim, exclusive=True) + taken) * rank.mask
        mask = rank.mask * mtf.to_float(mtf.less(place, float(places_dim.size)))
        taken += mtf.reduce_sum(mask, reduced_dim=group_dim)
        served += mtf.reduce_sum(mask, reduced_dim=experts_dim)
        combines.append(_combine(rank.gate, mask, place, experts_dim, places_dim, dtype))
    wanted = mtf.add_n([rank.mask for rank in ranks])
    return _plan(mtf.add_n(combines), wanted, mtf.minimum(served, 1.0), ranks[0].mask)


def next_best(ranks, experts_dim, group_dim, places_dim, dtype):
    """A token that finds its expert full tries the next best: "no token left behind".

    Switch Transformer, appendix B. Arguments as for `in_order`; a token gets at most one place.
    """
    taken, combines, waiting = 0.0, [], 1.0
    for rank in ranks:
        wants = rank.mask * waiting
        place = (mtf.cumsum(wants, group_dim, exclusive=True) + taken) * wants
        mask = wants * mtf.to_float(mtf.less(place, float(places_dim.size)))
        taken += mtf.reduce_sum(mask, reduced_dim=group_dim)
        waiting += -mtf.reduce_sum(mask, reduced_dim=experts_dim)
        combines.append(_combine(rank.gate, mask, place, experts_dim, places_dim, dtype))
    return _plan(mtf.add_n(combines), ranks[0].mask, 1.0 - waiting, ranks[0].mask)


def best_first(choice, experts_dim, group_dim, places_dim, dtype):
    """The tokens with the highest gates get the places of an expert (`switch_max`)."""
    gates, tokens = mtf.top_k(choice.mask * choice.gate, group_dim, places_dim)
    # Places that nobody wants hold a token with gate zero.
    dispatch = mtf.one_hot(tokens, group_dim, dtype=dtype)
    served = mtf.reduce_sum(
        mtf.to_float(mtf.greater(gates, 0.0)) * mtf.to_float(dispatch),
        output_shape=choice.gate.shape,
    )
    return _plan(dispatch * mtf.cast(gates, dtype), choice.mask, served, choice.mask)


def _combine(gate, mask, place, experts_dim, places_dim, dtype):
    """The gate at the token's expert and place; zero for a token that did not fit."""
    gates = mtf.cast(gate * mask, dtype)
    place = mtf.to_int32(mtf.reduce_sum(place * mask, reduced_dim=experts_dim))
    return gates * mtf.one_hot(place, places_dim, dtype=dtype)


def _plan(combine, *rest):
    return Plan(mtf.cast(mtf.cast(combine, tf.bool), combine.dtype), combine, *rest)
