"""Expert choice: every expert takes the tokens it likes best.

Zhou et al. (https://arxiv.org/abs/2202.09368). The experts are equally busy by construction, and a
token is worked on by as many experts as want it. As in Mesh-TensorFlow's `expert_selection`, an
expert's affinities are a distribution over the tokens t of a group, and the outputs of several
experts are averaged:

    p_te = softmax over t of (x_t . w_e)
    y_t = mean over the experts e that took t of  p_te f_e(x_t)

The choice depends on all tokens of the group: on the future of a text, and on other texts.
"""

import mesh_tensorflow as mtf

from primer.layers.experts import capacity


def affinities(logits, group_dim, importance):
    """p `[..., group, experts]`: a distribution over the tokens that are not padding."""
    if importance is not None:
        logits += mtf.to_float(mtf.equal(importance, 0.0)) * -1e9
    return mtf.softmax(logits, reduced_dim=group_dim)


def plan(p, experts_dim, group_dim, places_dim, importance, dtype):
    """Returns the capacity.Plan in which every expert takes its favourite tokens."""
    gates, tokens = mtf.top_k(p, reduced_dim=group_dim, k_dim=places_dim)
    taken = mtf.one_hot(tokens, group_dim, dtype=p.dtype)
    if importance is not None:
        # An expert with more places than there are tokens takes padding too.
        taken *= mtf.to_float(mtf.greater(importance, 0.0))
    wanted = mtf.reduce_sum(taken, reduced_dim=places_dim)
    count = mtf.reduce_sum(wanted, reduced_dim=experts_dim)
    dispatch = mtf.cast(taken, dtype)
    combine = mtf.cast(taken * gates / mtf.maximum(count, 1.0), dtype)
    return capacity.Plan(dispatch, combine, wanted, mtf.minimum(count, 1.0))
