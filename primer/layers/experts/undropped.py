"""Experts without capacity: every token reaches all the experts that it chose.

    y = sum over choices c of  gate_c f_{index_c}(x)      [tokens..., d_model] in and out

For evaluation and decoding, on one level of experts or two (`dropless` is for training), as in
dropless mixtures of experts (MegaBlocks, https://arxiv.org/abs/2211.15841). There are no groups and
no slots, and the output of a token does not depend on other tokens. Memory grows with
tokens * choices * expert_hidden, as in a dense layer.
"""

from collections.abc import Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import graph_marks as marks
from primer.layers.experts import choices, feed_forward, groups, router, settings
from primer.layers.experts.gates import scores as gate_scores


def drops_no_token(context: transformer.Context, gating: settings.Gating) -> bool:
    """Returns whether every token reaches its experts, whatever else is in the batch.

    Expert choice always has a capacity: evaluation and decoding get a caveat to print.
    """
    if context.train:
        return False
    if gating.gating == "expert_choice":
        marks.add_caveat(
            f"{gating.owner}.gating = 'expert_choice': experts choose among all tokens of a group, "
            "so that the score of a token depends on the other texts of the batch and on the "
            "tokens after it."
        )
        return False
    exact = context.mode in ("first_part", "incremental") or marks.forbids_token_dropping()
    return exact or not gating.limits_tokens(False)


def choose(
    x: mtf.Tensor,
    experts_dim: mtf.Dimension,
    gating: settings.Gating,
    context: transformer.Context,
    name: str,
) -> tuple[mtf.Tensor, mtf.Tensor]:
    """Returns the index (int32) and the gate (float32) of each token's choices.

    Args:
        x: a Tensor `[tokens..., d_model]`.
        experts_dim: the Dimension of the experts.
        gating: settings.Gating.
        context: a transformer.Context.
        name: the scope of the router's variable.

    Returns:
        Two Tensors `[tokens..., expert_choice]`; for a choice that was removed, index is -1 and
        gate 0.
    """
    # [tokens..., experts]
    scores = gate_scores.compute(x, experts_dim, gating, context, name)
    index, gate = _from_scores(scores, experts_dim, gating, None, "expert_choice")
    if marks.collects_routing():
        scope = f"{tf.get_variable_scope().name}/{name.replace('gating', 'router')}"
        entropy = router.entropies(scores.logits, experts_dim)  # [tokens...]
        marks.add_routing(scope, experts_dim.size, index, entropy)
    return index, gate


def from_logits(
    logits: mtf.Tensor,
    experts_dim: mtf.Dimension,
    gating: settings.Gating,
    importance: mtf.Tensor | None = None,
    choice_name: str = "expert_choice",
) -> tuple[mtf.Tensor, mtf.Tensor]:
    """Returns the result of `choose` from the router's logits `[tokens..., experts]`.

    Args:
        logits: the router's logits.
        experts_dim: the Dimension of the experts.
        gating: settings.Gating.
        importance: a Tensor `[tokens...]` as in `choices`, or None.
        choice_name: the name of the results' last dimension.
    """
    scores = gate_scores.Scores(logits, mtf.softmax(logits, experts_dim))
    return _from_scores(scores, experts_dim, gating, importance, choice_name)


def _from_scores(
    scores: gate_scores.Scores,
    experts_dim: mtf.Dimension,
    gating: settings.Gating,
    importance: mtf.Tensor | None,
    choice_name: str,
) -> tuple[mtf.Tensor, mtf.Tensor]:
    ranks = choices.ranked(scores.p, scores.logits, experts_dim, importance, gating, False)
    if gating.gating == "ntlb":
        # Without capacity the best expert is never full.
        ranks = ranks[:1]
    ranks = choices.without_slots(choices.apply_second_policy(ranks, gating, False), gating)
    return stack(ranks, experts_dim, choice_name)


def stack(
    ranks: Sequence[choices.Choice], experts_dim: mtf.Dimension, name: str
) -> tuple[mtf.Tensor, mtf.Tensor]:
    """Returns the ranks' indices and gates as two Tensors, `name` being their last dimension."""
    used = [mtf.reduce_sum(rank.mask, reduced_dim=experts_dim) for rank in ranks]  # [tokens...]
    indices = [(rank.index + 1) * mtf.to_int32(u) - 1 for rank, u in zip(ranks, used)]
    gates = [rank.gate * u for rank, u in zip(ranks, used)]
    return mtf.stack(indices, name, -1), mtf.stack(gates, name, -1)  # [tokens..., expert_choice]


def unsplit_tokens(x: mtf.Tensor, experts_dims: Sequence[mtf.Dimension], model: Any) -> mtf.Tensor:
    """Returns x, copied to all processors of the mesh axes that also split the experts."""
    return mtf.reshape(x, groups.unsplit(x.shape.dims, experts_dims, model))


def combine_experts(
    experts: feed_forward.FeedForward,
    x: mtf.Tensor,
    indices: Sequence[mtf.Tensor],
    gate: mtf.Tensor,
    experts_dims: Sequence[mtf.Dimension],
    context: transformer.Context,
) -> mtf.Tensor:
    """Returns the sum of the chosen experts' outputs by their gates, y `[tokens..., d_model]`.

    Args:
        experts: feed_forward.FeedForward.
        x: a Tensor `[tokens..., d_model]`.
        indices: int32 Tensors `[tokens..., choices...]`, one for each of experts_dims.
        gate: a float32 Tensor like indices.
        experts_dims: Dimensions that number the experts, split over the mesh or not.
        context: a transformer.Context.
    """
    model_dim = x.shape.dims[-1]
    # [tokens..., choices..., d_model]
    y = experts.on_tokens(x, indices, experts_dims, model_dim, context.variable_dtype)
    return mtf.einsum([y, mtf.cast(gate, x.dtype)], x.shape)  # [tokens..., d_model]
