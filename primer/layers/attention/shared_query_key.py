"""Attention parameters in which queries are a projection of the keys (`MDHA.share_qk_rep`).

Primer (https://arxiv.org/abs/2109.08668), "shared Q and K":

    k = x Wq     q = k Wqq     [batch, length, d_model] -> [batch, length, heads, d_kv]

The variables keep the original's names: `q` `[d_model, heads * d_kv]` makes the shared
representation, `q_solo_project/kernel` `[heads * d_kv, heads * d_kv]` the queries from it; there is
no `k`. With fewer memory heads than heads (`num_memory_heads`), which the original cannot build,
the shared representation has the memory heads.
"""

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer, transformer_layers

from primer.layers import initializers
from primer.layers.attention import projections


class SharedQueryKeyParams(projections.Projections):
    """Parameters of attention with `compute_k`, `queries_from_keys`, `compute_v`, `compute_output`.

    Attributes:
        rescale_keys: whether the keys start with the scale of ordinary keys, and only the queries
            with the factor d_kv^-0.5. False is as published: both start with the factor.
    """

    rescale_keys = False

    def init_weights(self) -> None:
        """Creates the variables of the shared representation, the values and the output."""
        folds = self.fold_scaling_into_initializer and not self.rescale_keys
        # [d_model, heads] each, with d_kv merged into heads; with combine_dims = False apart.
        self.wk = self._weight("q", self.k_shape, self.query_input_dim.size, folds)
        self.wv = self._weight("v", self.v_shape, self.memory_input_dim.size)
        self.wo = self._weight("o", self.o_shape, mtf.Shape(self.o_dims).size)  # [heads, d_model]

    @property
    def _scale(self) -> float:
        return self.key_dim.size**-0.5

    def compute_k(self, memory_antecedent: mtf.Tensor) -> mtf.Tensor:
        """Returns the shared representation before the convolution.

        Args:
            memory_antecedent: a Tensor `[batch, length, d_model]`.

        Returns:
            A Tensor `[batch, length, heads, d_kv]`, heads being the memory heads.
        """
        k = super().compute_k(memory_antecedent)  # [batch, length, heads, d_kv]
        if self.scales_activations and not self.rescale_keys:
            k *= self._scale
        return k

    def queries_from_keys(self, context: transformer.Context, k: mtf.Tensor) -> mtf.Tensor:
        """Projects keys `[..., memory heads, d_kv]` to queries `[..., heads, d_kv]`."""
        old_dims, new_dims = self.k_dims, self.q_dims
        if self.combine_dims:
            old_dims, new_dims = ([projections.merged_dim(d)] for d in (old_dims, new_dims))
            k = mtf.replace_dimensions(k, self.k_dims, old_dims)  # [batch, length, heads]
        # The rows and the columns of the kernel need dimensions of different names.
        hidden_dims = [mtf.Dimension("_" + d.name, d.size) for d in old_dims]
        q = mtf.layers.dense(
            mtf.replace_dimensions(k, old_dims, hidden_dims),
            reduced_dims=hidden_dims,
            new_dims=new_dims,
            expert_dims=context.model.ensemble_dims,
            use_bias=False,
            variable_dtype=context.variable_dtype,
            kernel_initializer=self._query_initializer(),
            name="q_solo_project",
        )  # [batch, length, heads]: d_kv merged
        if self.combine_dims:
            q = mtf.replace_dimensions(q, new_dims, self.q_dims)  # [batch, length, heads, d_kv]
        q = self.add_bias(q, "q_bias", self.q_dims)
        return q * self._scale if self.scales_activations and self.rescale_keys else q

    def _query_initializer(self) -> mtf.layers.VarianceScalingInitializer:
        folds = self.rescale_keys and self.fold_scaling_into_initializer
        if folds and not mtf.layers.unit_scaling_convention():
            return initializers.QueryKernelInitializer(self._scale)
        return mtf.layers.VarianceScalingInitializer()


class RescaledSharedQueryKeyParams(SharedQueryKeyParams):
    """SharedQueryKeyParams with d_kv^-0.5 on the queries only (`MDHA.rescale_shared_keys`)."""

    rescale_keys = True


def make_params(
    layer: transformer_layers.SelfAttention, context: transformer.Context
) -> SharedQueryKeyParams:
    """Makes the parameters of an MDHA layer from its settings."""
    cls = RescaledSharedQueryKeyParams if layer.rescale_shared_keys else SharedQueryKeyParams
    return projections.make(layer, context, cls)
