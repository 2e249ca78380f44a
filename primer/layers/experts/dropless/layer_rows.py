"""A layer of experts in training without capacity: every token reaches all experts that it chose.

    y_t = sum over choices c of  gate_tc f_{e(t,c)}(x_t)      [tokens..., d_model] in and out

The rows, one for each choice, are sorted by expert once, pass the experts, are multiplied by their
gates and added to tokens (`sorted_rows`). There are no groups and no slots: nothing is lost
whatever the imbalance, and the products are those of tokens * choices rows.

Where the mesh splits experts and tokens over one axis (`batch:rows,experts:rows`, FastMoE's data
and expert parallelism), every processor receives the tokens of the whole axis, multiplies the rows
of its own experts, and the results are added: two transfers of tokens * d_model numbers, whatever
the imbalance. An all-to-all with static shapes that loses nothing has to have room for all choices
at each processor: tokens * choices * d_model numbers. Every processor has room for all rows and
applies the activation to all; it multiplies its own.
"""

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer

from primer.layers.experts import feed_forward, groups, selected_dense
from primer.layers.experts.dropless import row_products, sorted_rows


def combine_experts(
    experts: feed_forward.FeedForward,
    x: mtf.Tensor,
    index: mtf.Tensor,
    gate: mtf.Tensor,
    experts_dim: mtf.Dimension,
    context: transformer.Context,
) -> mtf.Tensor:
    """Returns the sum of the chosen experts' outputs by their gates, with gradients.

    Args:
        experts: feed_forward.FeedForward.
        x: a Tensor `[tokens..., d_model]`.
        index: int32 `[tokens..., choices]`, the experts; -1 for a choice that was removed.
        gate: a float32 Tensor like index.
        experts_dim: the Dimension of the experts, split over the mesh or not.
        context: a transformer.Context.

    Returns:
        y like x.
    """
    tokens, index, gate = (
        mtf.reshape(t, groups.unsplit(t.shape.dims, [experts_dim], context.model))
        for t in (x, index, gate)
    )
    order, expert = sorted_rows.SortOperation([index], [experts_dim], context.model).outputs
    rows = sorted_rows.to_rows(tokens, order)  # [experts, tokens..., choices, d_model]

    def dense(x: mtf.Tensor, weights: selected_dense.Weights) -> mtf.Tensor:
        return row_products.multiply(x, expert, weights)

    rows = experts.apply(dense, rows, [experts_dim], tokens.shape.dims[-1], context)
    # [experts, tokens..., choices]
    gates = sorted_rows.to_rows(mtf.cast(gate, rows.dtype), order)
    y = sorted_rows.from_rows(rows * gates, order, tokens.shape)  # [tokens..., d_model]
    return mtf.reshape(y, x.shape)
