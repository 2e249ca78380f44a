"""Experts without limited room: every token gets those that it chose.

    y = sum over choices c of  gate_c f_{index_c}(x)      x `[tokens..., d_model]`

For evaluation and decoding. There are no groups and no places, and nothing depends on the other
tokens. Memory grows with tokens * choices * expert_hidden, as in a dense layer.
"""

import mesh_tensorflow as mtf

from primer.layers.experts import choices, groups, router


def choose(x, experts_dim, gating, context, name):
    """The choices of each token: index int32 and gate float32, `[tokens..., expert_choice]`.

    Where a choice is left out, index is -1 and gate 0. `name` is of the router's variable scope.
    """
    logits = router.logits(x, experts_dim, gating, False, context.variable_dtype, name)
    return from_logits(logits, experts_dim, gating)


def from_logits(logits, experts_dim, gating, importance=None, choice_name="expert_choice"):
    """The same from the router's logits; importance as in `choices`."""
    p = mtf.softmax(logits, experts_dim)
    ranks = choices.ranked(p, logits, experts_dim, importance, gating, False)
    if gating.gating == "ntlb":
        # The best expert always has room.
        ranks = ranks[:1]
    return stacked(choices.thinned(ranks, gating, False), experts_dim, choice_name)


def stacked(ranks, experts_dim, name):
    """One Tensor of all indices and one of all gates, with a dimension of this name last."""
    used = [mtf.reduce_sum(rank.mask, reduced_dim=experts_dim) for rank in ranks]
    indices = [(rank.index + 1) * mtf.to_int32(u) - 1 for rank, u in zip(ranks, used)]
    gates = [rank.gate * u for rank, u in zip(ranks, used)]
    return mtf.stack(indices, name, -1), mtf.stack(gates, name, -1)


def on_every_part(x, experts_dims, model):
    """x, copied to all processors of an axis of the mesh over which the experts are split too."""
    return mtf.reshape(x, groups.unsplit(x.shape.dims, experts_dims, model))


def mix(experts, x, indices, gate, experts_dims, context):
    """Returns y `[tokens..., d_model]`.

    Args:
        experts: feed_forward.FeedForward.
        x: a Tensor `[tokens..., d_model]`.
        indices: int32 Tensors `[tokens..., choices...]`, one for each of experts_dims.
        gate: a float32 Tensor like indices.
        experts_dims: Dimensions that number the experts, split over the mesh or not.
        context: a transformer.Context.
    """
    model_dim = x.shape.dims[-1]
    y = experts.on_tokens(x, indices, experts_dims, model_dim, context.variable_dtype)
    return mtf.einsum([y, mtf.cast(gate, x.dtype)], x.shape)
