"""Which experts each token chooses, and with which gate, before any expert is full.

With the router's distribution p `[..., experts]` of a token:

    Switch (2101.03961)        the best expert, gate max p; or one drawn from p
    no token left behind (Switch, appendix B)
                               the k best, gates p_e, of which the first with room will count
    top-k  (1701.06538, GShard 2006.16668)
                               the k best, gates p_e / sum over the k of p

A choice of rank 2 and more may be left out at random or below a threshold (GShard, section 2.2).
`importance` `[...]` of a token is 1; 0 for padding, which chooses nobody; and 0.5 for a token that
may choose only as if its first choice had been made elsewhere (the second of two levels).
"""

import dataclasses

import mesh_tensorflow as mtf

from primer.layers.experts import settings


@dataclasses.dataclass(frozen=True)
class Choice:
    """One expert for every token.

    Attributes:
        index: an int32 Tensor `[...]`, the expert.
        gate: a Tensor `[...]`, the weight of the expert's output.
        mask: a Tensor `[..., experts]`, the one-hot of index, zero where nothing was chosen.
    """

    index: mtf.Tensor
    gate: mtf.Tensor
    mask: mtf.Tensor


def ranked(p, logits, experts_dim, importance, gating, train):
    """Returns the choices of each token, the best first, before any is left out (`thinned`).

    Args:
        p: a Tensor `[..., experts]`, the router's distribution.
        logits: the Tensor p is the softmax of.
        experts_dim: the Dimension of the experts.
        importance: a Tensor `[...]`, or None if all tokens have importance 1.
        gating: settings.Gating of a gating in which tokens choose.
        train: whether the settings of training hold.
    """
    if gating.gating in settings.RANKED:
        return normalized(best(p, experts_dim, gating.num_ranks, importance))
    if gating.gating == "ntlb":
        return best(p, experts_dim, min(gating.ntlb_top_k, experts_dim.size), importance)
    return [_first(p, logits, experts_dim, importance, gating, train)]


def thinned(ranks, gating, train):
    """Leaves out choices of rank 2 and more as the second policy says, where these are extra."""
    if gating.gating not in settings.RANKED:
        return ranks
    phase = gating.phase(train)
    return [ranks[0]] + [_thinned(rank, phase) for rank in ranks[1:]]


def best(p, experts_dim, count, importance=None):
    """The `count` best experts, their probabilities as gates."""
    ranks, rest = [], p
    for rank in range(count):
        gate, index = mtf.top_1(rest, experts_dim)
        mask = used = mtf.one_hot(index, experts_dim, dtype=p.dtype)
        if importance is not None:
            eligible = certain(importance) if rank == 0 else possible(importance)
            if rank == 0:
                # A token of importance 0.5 takes its best expert as its second choice.
                used = mask * (1.0 - possible(importance) + certain(importance))
            mask *= eligible
            gate *= eligible
        # Below every probability: no expert is chosen twice, even where p is zero.
        rest = rest * (1.0 - used) - used
        ranks.append(Choice(index, gate, mask))
    return ranks


def normalized(ranks):
    """The same with gates that add up to 1, where there are several ranks."""
    if len(ranks) == 1:
        return ranks
    total = mtf.add_n([rank.gate for rank in ranks]) + 1e-9
    return [dataclasses.replace(rank, gate=rank.gate / total) for rank in ranks]


def certain(importance):
    """1 for the tokens of importance 1, else 0."""
    return mtf.to_float(mtf.equal(importance, 1.0))


def possible(importance):
    """1 for the tokens that are not padding, else 0."""
    return mtf.to_float(mtf.greater(importance, 0.0))


def _first(p, logits, experts_dim, importance, gating, train):
    if gating.phase(train).switch_policy == "sample":
        temperature = gating.switch_temperature
        index = mtf.sample_with_temperature(logits, experts_dim, temperature=temperature)
        gate = mtf.gather(p, index, experts_dim)
    else:
        gate, index = mtf.top_1(p, experts_dim)
    mask = mtf.one_hot(index, experts_dim, dtype=p.dtype)
    if importance is not None:
        mask *= certain(importance)
        gate *= certain(importance)
    return Choice(index, gate, mask)


def _thinned(choice, phase):
    policy, threshold = phase.second_policy, phase.second_threshold
    if policy == "all":
        return choice
    if policy == "none":
        return dataclasses.replace(choice, mask=mtf.zeros_like(choice.mask))
    if policy == "threshold":
        kept = mtf.greater(choice.gate, threshold)
    else:
        draw = mtf.random_uniform(choice.gate.mesh, choice.gate.shape)
        kept = mtf.less(draw, choice.gate / max(threshold, 1e-9))
    return dataclasses.replace(choice, mask=choice.mask * mtf.to_float(kept))
