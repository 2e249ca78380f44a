"""Multi-DConv-head attention: self-attention whose projections are convolved along the length.

Primer (https://arxiv.org/abs/2109.08668), section 3. After each projection of x
`[batch, length, d_model]`, every channel of every head passes through a causal convolution of k
taps (`causal_depthwise_conv`):

    q = conv(x Wq)    k = conv(x Wk)    v = conv(x Wv)          [batch, length, heads, d_kv]

With the shared query-key projection of the full Primer, keys are the shared representation and
queries one more projection of it:

    k = conv(x Wq)    q = k Wqq         v = conv(x Wv)

The rest is MultiHeadAttention.
"""

from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention, transformer

from primer.common import checks, graph_marks
from primer.layers.attention import (
    projections,
    shared_query_key,
    spatial_gating,
)
from primer.layers.attention.multi_head import MultiHeadAttention
from primer.layers.convolution import causal_depthwise_conv as conv
from primer.layers.recurrence import refusals

_CROSSES_TEXTS = (
    "MDHA.crosses_texts = True, as in Lingvo: where a row has several texts (protocol packed), the "
    "score of a token depends on the end of the text before its own."
)


@gin.configurable
class MDHA(MultiHeadAttention):
    """Multi-DConv-head attention; settings of `MultiHeadAttention` apply too."""

    def __init__(
        self,
        kernel_size: int = 3,
        share_qk_rep: bool = False,
        rescale_shared_keys: bool = False,
        spatial_gating: bool = False,
        max_length: int = 512,
        crosses_texts: bool = False,
        **kwargs: Any,
    ) -> None:
        """Makes a layer.

        Args:
            kernel_size: the number of taps of the convolutions, 1 or more (the paper's is 3).
            share_qk_rep: whether the queries are a projection of the keys.
            rescale_shared_keys: only for share_qk_rep. The published initialization of the shared
                projection includes the queries' factor d_kv^-0.5, and the projection from keys to
                queries does not undo it on the keys: logits start d_kv^0.5 times smaller than in
                any other attention. True moves the factor to the second projection.
            spatial_gating: whether every position has a learned gate after the softmax, as the
                search found it (`spatial_gating`).
            max_length: only for spatial_gating: the number of positions that have a gate.
            crosses_texts: whether the convolutions of a packed row see the end of the text before,
                as Lingvo's do.
            **kwargs: as for MultiHeadAttention.

        Raises:
            ValueError: a setting or a combination that this layer does not support.
        """
        super().__init__(**kwargs)
        conv.check_kernel_size(kernel_size, "MDHA.kernel_size")
        self.kernel_size = kernel_size
        self.share_qk_rep = share_qk_rep
        self.rescale_shared_keys = rescale_shared_keys
        self.spatial_gating = spatial_gating
        self.max_length = max_length
        self.crosses_texts = checks.boolean("MDHA.crosses_texts", crosses_texts, ValueError)
        self._check_settings()

    def _check_settings(self) -> None:
        refusals.check_layer(self)
        if self.crosses_texts and self.recurrence is not None:
            raise ValueError(
                "MDHA.crosses_texts = True and memory_length is set: the convolutions of a memory "
                "stay in their text; set convolution_crosses_texts to False, or leave "
                "memory_length out"
            )
        if self.share_qk_rep and self.shared_kv:
            raise ValueError(
                "MDHA.share_qk_rep and MDHA.shared_kv are both True: keys can be shared with the "
                "queries or with the values; set one of them to False"
            )
        if self.rescale_shared_keys and not self.share_qk_rep:
            raise ValueError(
                "MDHA.rescale_shared_keys = True changes the shared query-key projection, and "
                "MDHA.share_qk_rep is False; set both, or neither"
            )
        if self.spatial_gating and self.shared_kv:
            raise ValueError(
                "MDHA.spatial_gating and MDHA.shared_kv are both True: the gates multiply the "
                "values, and the keys are the values; set one of them to False"
            )

    @property
    def convolution_reach(self) -> int:
        """The convolutions see `kernel_size - 1` positions back."""
        return self.kernel_size - 1

    def make_params(self, context: transformer.Context) -> attention.AttentionParams:
        """Makes the projections of queries, keys, values and the output."""
        if not self.share_qk_rep:
            return super().make_params(context)
        return shared_query_key.make_params(self, context)

    def project(
        self, context: transformer.Context, params: attention.AttentionParams, x: mtf.Tensor
    ) -> tuple[mtf.Tensor, list[mtf.Tensor]]:
        """Returns the queries and [keys, values], or [keys that are also values], convolved."""

        def convolved(projection: mtf.Tensor, dims: list[mtf.Dimension], name: str) -> mtf.Tensor:
            taps = self._taps(context, dims, name)
            return conv.convolve(context, projection, taps, self.crosses_texts)

        if self.crosses_texts and context.mode == tf.estimator.ModeKeys.EVAL:
            graph_marks.add_caveat(_CROSSES_TEXTS)

        # [batch, length, heads, d_kv] each; keys and values have the memory heads.
        if self.share_qk_rep:
            k = convolved(params.compute_k(x), params.k_dims, "qk_dconv")
            q = params.queries_from_keys(context, k)
        else:
            q = convolved(params.compute_q(x), params.q_dims, "q_dconv")
            if self.shared_kv:
                return q, [convolved(params.compute_kv(x), params.k_dims, "kv_dconv")]
            k = convolved(params.compute_k(x), params.k_dims, "k_dconv")
        return q, [k, convolved(params.compute_v(x), params.v_dims, "v_dconv")]

    def transform_heads(
        self, context: transformer.Context, q: mtf.Tensor, keys_values: list[mtf.Tensor]
    ) -> tuple[mtf.Tensor, list[mtf.Tensor]]:
        """Transforms as MultiHeadAttention does; then gates the values, embeddings included."""
        q, keys_values = super().transform_heads(context, q, keys_values)
        if not self.spatial_gating:
            return q, keys_values
        k, v = keys_values  # [batch, length, heads, d_kv] each
        _, memory_heads_dims = projections.heads_dims(self)
        return q, [k, spatial_gating.gate_values(context, v, memory_heads_dims, self.max_length)]

    def _taps(
        self, context: transformer.Context, dims: list[mtf.Dimension], name: str
    ) -> list[mtf.Tensor]:
        """Creates one variable per tap: `[heads * d_kv]`; without combine_dims `[heads, d_kv]`."""
        merged = projections.merged_dim(dims)
        shape = context.model.ensemble_dims + ([merged] if self.combine_dims else dims)
        with tf.variable_scope(name):
            taps = conv.convolution_taps(
                context.mesh, self.kernel_size, shape, context.variable_dtype
            )  # [heads] each: d_kv merged
        if self.combine_dims:
            taps = [mtf.replace_dimensions(tap, merged, dims) for tap in taps]  # [heads, d_kv]
        return taps
