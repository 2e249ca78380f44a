"""The experts that each token chooses, and their gates, before capacity limits them.

With the router's distribution p `[..., experts]` of a token:

    Switch (https://arxiv.org/abs/2101.03961)
                               the best expert, gate max p; or one sampled from p
    no token left behind (Switch, appendix B)
                               the k best, gates p_e; the first of them with a free slot is used
    top-k (https://arxiv.org/abs/1701.06538, GShard https://arxiv.org/abs/2006.16668)
                               the k best, gates p_e / sum over the k of p
    naive, noisy (FastMoE)     the k best, gates softmax over their k logits: the same but for
                               rounding, also where p is zero

A choice of rank 2 or more may be removed at random or below a threshold (GShard, section 2.2), or
drawn (`gshard.sampling`). With `gshard.assignment` gates are normalized when slots are assigned.
The `importance` `[...]` of a token is 1; 0 for padding, which chooses no expert; and 0.5 for a
token that may choose only one expert, as its second choice (on the second of two levels).
"""

import dataclasses
from collections.abc import Sequence

import mesh_tensorflow as mtf

from primer.layers.experts import settings
from primer.layers.experts.gshard import sampling


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


def ranked(
    p: mtf.Tensor,
    logits: mtf.Tensor,
    experts_dim: mtf.Dimension,
    importance: mtf.Tensor | None,
    gating: settings.Gating,
    train: bool,
) -> list[Choice]:
    """Returns the choices of each token, the best first, before `apply_second_policy`.

    Args:
        p: a Tensor `[..., experts]`, the router's distribution.
        logits: the Tensor `[..., experts]` that p is the softmax of.
        experts_dim: the Dimension of the experts.
        importance: a Tensor `[...]`, or None if all tokens have importance 1.
        gating: settings.Gating of a gating in which tokens choose.
        train: whether the settings of training apply.
    """
    if gating.gating in ("naive", "noisy"):
        return best_logits(logits, experts_dim, gating.num_ranks, importance)
    if gating.gating in settings.RANKED:
        keys = _keys(logits, gating, train)
        ranks = best(p, experts_dim, gating.num_ranks, importance, keys)
        return ranks if gating.corrects_gshard else normalized(ranks)
    if gating.gating == "ntlb":
        return best(p, experts_dim, min(gating.ntlb_top_k, experts_dim.size), importance)
    return [_switch_choice(p, logits, experts_dim, importance, gating, train)]


def apply_second_policy(ranks: list[Choice], gating: settings.Gating, train: bool) -> list[Choice]:
    """Removes choices of rank 2 and more by the second policy, for gatings that have one."""
    if gating.gating not in settings.WITH_SECOND_POLICY:
        return ranks
    return [ranks[0]] + [_thin_out(rank, gating, train) for rank in ranks[1:]]


def without_slots(ranks: list[Choice], gating: settings.Gating) -> list[Choice]:
    """Returns choices with the gates that they have where all get a slot."""
    if not gating.corrects_gshard:
        return ranks
    return normalized_by_mask(ranks, ranks[0].mask.shape.dims[-1])


def best(
    p: mtf.Tensor,
    experts_dim: mtf.Dimension,
    count: int,
    importance: mtf.Tensor | None = None,
    keys: mtf.Tensor | None = None,
) -> list[Choice]:
    """Returns the `count` best experts of each token, with their probabilities as gates.

    Args:
        p: a Tensor `[..., experts]`, the router's distribution.
        experts_dim: the Dimension of the experts.
        count: the number of ranks.
        importance: a Tensor `[...]`, or None.
        keys: a Tensor like p; the experts of rank 2 and more have the largest keys. None: p.
    """
    ranks, rest = [], p
    for rank in range(count):
        gate, index = mtf.top_1(rest, experts_dim)  # [...] each
        mask = used = mtf.one_hot(index, experts_dim, dtype=p.dtype)  # [..., experts]
        if rank and keys is not None:
            gate = mtf.reduce_sum(p * mask, reduced_dim=experts_dim)  # [...]
        if importance is not None:
            first = rank == 0
            eligible = has_full_importance(importance) if first else is_not_padding(importance)
            if first:
                # A token of importance 0.5 chooses its best expert in the second rank.
                used = mask * (1.0 - is_not_padding(importance) + has_full_importance(importance))
            mask *= eligible
            gate *= eligible
        # Below every probability: no expert is chosen twice, even where p is zero.
        if keys is None:
            rest = rest * (1.0 - used) - used  # [..., experts]
        else:
            rest = (rest if rank else keys) * (1.0 - used) - used * 1e30
        ranks.append(Choice(index, gate, mask))
    return ranks


def best_logits(
    logits: mtf.Tensor,
    experts_dim: mtf.Dimension,
    count: int,
    importance: mtf.Tensor | None = None,
) -> list[Choice]:
    """Returns the `count` experts with the largest logits; gates are the softmax over these."""
    values, ranks, rest = [], [], logits
    for _ in range(count):
        value, index = mtf.top_1(rest, experts_dim)  # [...] each
        mask = mtf.one_hot(index, experts_dim, dtype=logits.dtype)  # [..., experts]
        rest = rest * (1.0 - mask) - mask * 1e30
        if importance is not None:
            mask *= has_full_importance(importance)
        values.append(value)
        ranks.append(Choice(index, value, mask))
    # Relative to the largest, which overflows nowhere.
    powers = [mtf.exp(value - values[0]) for value in values]
    total = mtf.add_n(powers)
    real = 1.0 if importance is None else has_full_importance(importance)
    return [
        dataclasses.replace(rank, gate=power / total * real) for rank, power in zip(ranks, powers)
    ]


def normalized(ranks: Sequence[Choice]) -> list[Choice]:
    """Returns the choices with gates that sum to 1 over the ranks, if there are several."""
    if len(ranks) == 1:
        return list(ranks)
    total = mtf.add_n([rank.gate for rank in ranks]) + 1e-9  # [...]
    return [dataclasses.replace(rank, gate=rank.gate / total) for rank in ranks]


def normalized_by_mask(ranks: Sequence[Choice], experts_dim: mtf.Dimension) -> list[Choice]:
    """Returns the choices with gates that sum to 1 over those whose mask is not zero."""
    used = [mtf.reduce_sum(rank.mask, reduced_dim=experts_dim) for rank in ranks]  # [...] each
    total = mtf.add_n([rank.gate * u for rank, u in zip(ranks, used)])  # [...]
    total += mtf.to_float(mtf.equal(total, 0.0))
    return [dataclasses.replace(rank, gate=rank.gate / total) for rank in ranks]


def has_full_importance(importance: mtf.Tensor) -> mtf.Tensor:
    """Returns 1 for the tokens of importance 1, else 0."""
    return mtf.to_float(mtf.equal(importance, 1.0))


def is_not_padding(importance: mtf.Tensor) -> mtf.Tensor:
    """Returns 1 for the tokens of importance above 0, else 0."""
    return mtf.to_float(mtf.greater(importance, 0.0))


def _switch_choice(
    p: mtf.Tensor,
    logits: mtf.Tensor,
    experts_dim: mtf.Dimension,
    importance: mtf.Tensor | None,
    gating: settings.Gating,
    train: bool,
) -> Choice:
    """Returns the best expert of each token, or one sampled from p."""
    if gating.phase(train).switch_policy == "sample":
        temperature = gating.switch_temperature
        index = mtf.sample_with_temperature(logits, experts_dim, temperature=temperature)  # [...]
        gate = mtf.gather(p, index, experts_dim)  # [...]
    else:
        gate, index = mtf.top_1(p, experts_dim)  # [...] each
    mask = mtf.one_hot(index, experts_dim, dtype=p.dtype)  # [..., experts]
    if importance is not None:
        mask *= has_full_importance(importance)
        gate *= has_full_importance(importance)
    return Choice(index, gate, mask)


def _keys(logits: mtf.Tensor, gating: settings.Gating, train: bool) -> mtf.Tensor | None:
    """Returns what ranks the second and further experts if these are drawn, like logits."""
    drawn = gating.gating in settings.WITH_SECOND_POLICY
    if not drawn or gating.phase(train).second_policy != "sampling":
        return None
    return sampling.noisy_logits(logits, gating.draw(logits.mesh, logits.shape))


def _thin_out(choice: Choice, gating: settings.Gating, train: bool) -> Choice:
    """Applies the second policy to the choices of one rank."""
    phase = gating.phase(train)
    policy, threshold = phase.second_policy, phase.second_threshold
    if policy in ("all", "sampling"):
        return choice
    if policy == "none":
        return dataclasses.replace(choice, mask=mtf.zeros_like(choice.mask))
    if policy == "threshold":
        kept = mtf.greater(choice.gate, threshold)  # [...]
    else:
        draw = gating.draw(choice.gate.mesh, choice.gate.shape)
        kept = mtf.less(draw, choice.gate / max(threshold, 1e-9))  # [...]
    return dataclasses.replace(choice, mask=choice.mask * mtf.to_float(kept))
