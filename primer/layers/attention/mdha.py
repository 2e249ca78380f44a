"""Multi-DConv-head attention: self-attention whose projections are convolved along the length.

Primer (https://arxiv.org/abs/2109.08668), section 3. After each projection of x
`[batch, length, d_model]`, every channel of every head passes through a causal convolution of k
taps (`causal_depthwise_conv`):

    q = conv(x Wq)    k = conv(x Wk)    v = conv(x Wv)          [batch, length, heads, d_kv]

With the shared query-key projection of the full Primer, keys are the shared representation and
queries one more projection of it:

    k = conv(x Wq)    q = k Wqq         v = conv(x Wv)

The rest is Mesh-TensorFlow's SelfAttention: keys have `memory_length`, heads or batch may be
split over the mesh, positions are relative if asked for.
"""

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer_layers

from primer.layers.attention import kv_cache, shared_query_key, spatial_gating, z_loss
from primer.layers.convolution import causal_depthwise_conv as conv


@gin.configurable
class MDHA(transformer_layers.SelfAttention):
    """Multi-DConv-head attention; settings of `SelfAttention` hold for it too."""

    def __init__(
        self,
        kernel_size=3,
        share_qk_rep=False,
        rescale_shared_keys=False,
        spatial_gating=False,
        max_length=512,
        **kwargs,
    ):
        """Makes a layer.

        Args:
            kernel_size: the number of taps of the convolutions, 1 or more (the paper's is 3).
            share_qk_rep: whether the queries are a projection of the keys.
            rescale_shared_keys: only for share_qk_rep. The published initialization of the shared
                projection includes the queries' factor d_kv^-0.5, and the projection from keys to
                queries adds nothing to undo it on the keys: logits start d_kv^0.5 times smaller
                than in any other attention. True moves the factor to the second projection.
            spatial_gating: whether every position has a learned gate behind the softmax, as the
                search found it (`spatial_gating`).
            max_length: only for spatial_gating: the number of positions that have a gate.
            **kwargs: as for SelfAttention; `num_memory_heads`, `shared_kv`, `combine_dims`,
                `relative_attention_type`, `z_loss_coeff` and so on mean the same.

        Raises:
            ValueError: a setting or a combination that has no meaning here.
        """
        super().__init__(**kwargs)
        conv.check_kernel_size(kernel_size, "MDHA.kernel_size")
        self.kernel_size = kernel_size
        self.share_qk_rep = share_qk_rep
        self.rescale_shared_keys = rescale_shared_keys
        self.spatial_gating = spatial_gating
        self.max_length = max_length
        self._check_settings()

    def _check_settings(self):
        kv_cache.refuse_hyperprompts(self, "a prompt has no past to convolve")
        if self.share_qk_rep and self.shared_kv:
            raise ValueError(
                "MDHA.share_qk_rep and MDHA.shared_kv are both True: keys are shared with the "
                "queries or with the values; set one of them to False"
            )
        if self.rescale_shared_keys and not self.share_qk_rep:
            raise ValueError(
                "MDHA.rescale_shared_keys = True changes the shared query-key projection, and "
                "MDHA.share_qk_rep is False; set both, or neither"
            )
        if self.spatial_gating and self.shared_kv:
            raise ValueError(
                "MDHA.spatial_gating and MDHA.shared_kv are both True: the gates weigh the values, "
                "and the keys are the values; set one of them to False"
            )

    def make_params(self, context):
        if not self.share_qk_rep:
            return super().make_params(context)
        return shared_query_key.make_params(self, context)

    def call(self, context, x, losses=None):
        """Attends: `[batch, length, d_model]` in and out, without length in incremental mode."""
        params = self.make_params(context)
        q, memories = self._projections(context, params, x)
        memories, memory_position = kv_cache.remember(self, context, memories)
        attention_context, kwargs = z_loss.settings(
            context, self.z_loss_coeff, self.attention_kwargs_from_context(context)
        )
        o = self.attention_fn(
            q,
            memories[0],
            memories[-1],
            context=attention_context,
            memory_length_dim=self.memory_length(context),
            key_dim=self.kv_dim,
            value_dim=self.kv_dim,
            bias=self.compute_bias(context, memory_position, x, params.query_heads_dims, q),
            **kwargs,
        )
        shape = self.expected_attention_output_shape(x, params)
        y = params.compute_output(o, output_shape=shape)
        return self.layer_output_from_attention_output(context, y, losses)

    def _projections(self, context, params, x):
        """Returns the queries and [keys, values], or [keys that are also values], convolved."""

        def convolved(projection, dims, name):
            return conv.convolve(context, projection, self._taps(context, dims, name))

        if self.share_qk_rep:
            k = convolved(params.compute_k(x), params.k_dims, "qk_dconv")
            q = params.queries_from_keys(context, k)
        else:
            q = convolved(params.compute_q(x), params.q_dims, "q_dconv")
            if self.shared_kv:
                return q, [convolved(params.compute_kv(x), params.k_dims, "kv_dconv")]
            k = convolved(params.compute_k(x), params.k_dims, "k_dconv")
        v = convolved(params.compute_v(x), params.v_dims, "v_dconv")
        if self.spatial_gating:
            v = spatial_gating.gated_values(
                context, v, params.memory_heads_dims or [], self.max_length
            )
        return q, [k, v]

    def _taps(self, context, dims, name):
        """One variable a tap: `[heads * d_kv]`, or `[heads, d_kv]` without combine_dims."""
        combined = mtf.Dimension(dims[0].name, mtf.Shape(dims).size)
        shape = context.model.ensemble_dims + ([combined] if self.combine_dims else dims)
        with tf.variable_scope(name):
            taps = conv.convolution_taps(
                context.mesh, self.kernel_size, shape, context.variable_dtype
            )
        if self.combine_dims:
            taps = [mtf.replace_dimensions(tap, combined, dims) for tap in taps]
        return taps
