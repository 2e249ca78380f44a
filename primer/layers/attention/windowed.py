"""Windowed (local) self-attention: a query sees the last `radius` positions, its own included.

Sparse Transformer (https://arxiv.org/abs/1904.10509) and Longformer
(https://arxiv.org/abs/2004.05150); the local layers of GPT-Neo. With radius r, position p of x
`[batch, length, d_model]` gets

    y_p = sum over p - r < t <= p of  softmax_t(q_p k_t + bias(p - t)) v_t,

projected back to `[batch, length, d_model]`.

Everything except the window is Mesh-TensorFlow's SelfAttention. Long texts are cut into blocks
(`windowed_blocks`) and cost length x radius; short ones are masked, with the same result. Decoding
keeps the last r positions (`windowed_cache`), however long the text is.
"""

import copy
from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention, transformer, transformer_layers

from primer.common import checks
from primer.layers import mesh_layout, positions, variables
from primer.layers.attention import (
    inherited_settings,
    kv_cache,
    windowed_blocks,
    windowed_cache,
    z_loss,
)


# A model has the same variables with a window and without, so that the checkpoint of one loads into
# the other. (Mesh-TF's LocalSelfAttention fails in every mode, so that no checkpoint has its name.)
# For the same reason layers of SelfAttention beside it share its "bias_shared".
@variables.stored_under("SelfAttention")
@gin.configurable
class WindowedSelfAttention(transformer_layers.SelfAttention):
    """Causal self-attention within a window; settings of `SelfAttention` apply too."""

    def __init__(self, radius: int = 128, block_length: int | None = None, **kwargs: Any) -> None:
        """Makes a layer.

        Args:
            radius: how many keys a query sees, including its own position's; 1 or more. A radius
                of the length or more gives SelfAttention.
            block_length: positions per block in training and evaluation. None chooses it; with the
                length of the text, or more, there are no blocks.
            **kwargs: as for SelfAttention; `num_memory_heads`, `shared_kv`, `combine_dims`,
                `relative_attention_type`, `z_loss_coeff`, `attention_kwargs` and so on mean the
                same. Dropout noise that is shared along the length is shared within a block.

        Raises:
            ValueError: a setting that this layer does not support.
        """
        super().__init__(**kwargs)
        _check_count("radius", radius, "how many keys a query sees, its own position's included")
        if block_length is not None:
            _check_count("block_length", block_length, "positions per block, or None to choose")
        self.radius = radius
        self.block_length = block_length
        inherited_settings.check_no_hyperprompts(self, "a prompt has no position in a window")
        inherited_settings.check_no_attention_func(
            self, "'hybrid' also normalizes over the queries, including later ones"
        )

    def call(
        self,
        context: transformer.Context,
        x: mtf.Tensor,
        losses: list[mtf.Tensor] | None = None,
    ) -> mtf.Tensor:
        """Attends: `[batch, length, d_model]` in and out, without length in incremental mode."""
        _check_autoregressive(context)
        params = self.make_params(context)
        q = params.compute_q(x)  # [batch, length, heads, d_kv]
        keys_values = kv_cache.project_keys_values(params, x)  # [batch, length, heads, d_kv] each
        if context.mode == "incremental":
            o = self._attend_to_cache(context, params, q, keys_values)  # [batch, heads, d_kv]
        else:
            o = self._attend(context, params, q, keys_values)  # [batch, length, heads, d_kv]
        if context.mode == "first_part":
            self._cache_prompt(context, keys_values)
        # [batch, length, d_model]
        y = params.compute_output(o, output_shape=self.expected_attention_output_shape(x, params))
        return self.layer_output_from_attention_output(context, y, losses)

    def _attend(
        self,
        context: transformer.Context,
        params: attention.AttentionParams,
        q: mtf.Tensor,
        keys_values: list[mtf.Tensor],
    ) -> mtf.Tensor:
        """Attends from all positions at once, in blocks or masked."""
        length = context.length_dim.size
        block_length = self._block_length(context)
        if block_length < length:
            blocks = windowed_blocks.Blocks(context.length_dim, block_length, self.radius)
            return self._attend_in_blocks(context, params, q, keys_values, blocks)
        # [batch, memory_length, heads, d_kv]
        keys_values = [self.rename_length_to_memory_length(t, context) for t in keys_values]
        position = self.rename_length_to_memory_length(context.position, context)
        bias = self.compute_bias(context, position, None, params.query_heads_dims, q)
        if self.radius < length:
            index = mtf.range(context.mesh, context.length_dim, tf.int32)  # [length]
            # [length, memory_length]
            distance = index - self.rename_length_to_memory_length(index, context)
            bias += _visibility_bias(mtf.less(distance, self.radius), context)
        return self._attention(context, q, keys_values, self.memory_length(context), bias)

    def _attend_in_blocks(
        self,
        context: transformer.Context,
        params: attention.AttentionParams,
        q: mtf.Tensor,
        keys_values: list[mtf.Tensor],
        blocks: windowed_blocks.Blocks,
    ) -> mtf.Tensor:
        # [batch, blocks, query_block_length, heads, d_kv]
        q = blocks.split_queries(q)
        # [batch, blocks, memory_block_length, heads, d_kv]
        keys_values = [blocks.split_memory(t) for t in keys_values]
        # [query_block_length, memory_block_length, blocks], with batch if packed
        visible = blocks.visible(context.mesh, positions.segment_id(context))
        query_position, memory_position = blocks.positions(context.mesh)
        bias = self._relative_bias(context, params, q, query_position, memory_position, visible)
        # [batch, blocks, query_block_length, heads, d_kv]
        o = self._attention(context, q, keys_values, blocks.memory_dim, bias, blocks)
        return blocks.join(o)  # [batch, length, heads, d_kv]

    def _attend_to_cache(
        self,
        context: transformer.Context,
        params: attention.AttentionParams,
        q: mtf.Tensor,
        keys_values: list[mtf.Tensor],
    ) -> mtf.Tensor:
        """Attends from one position to itself and the earlier ones in the window."""
        window = windowed_cache.window_dim(self.radius, context.length_dim)
        caches = context.get_states(len(keys_values))  # [batch, window, heads, d_kv] each
        keys_values = [
            windowed_cache.cache_position(cache, t, context.position, window)
            for cache, t in zip(caches, keys_values)
        ]
        context.record_new_states(keys_values)
        # [batch, window]
        memory_position = windowed_cache.cached_positions(context.mesh, context.position, window)
        visible = mtf.greater_equal(memory_position, 0)
        bias = self._relative_bias(context, params, q, context.position, memory_position, visible)
        return self._attention(context, q, keys_values, window, bias)

    def _cache_prompt(self, context: transformer.Context, keys_values: list[mtf.Tensor]) -> None:
        window = windowed_cache.window_dim(self.radius, context.length_dim)
        end = context.initial_position  # [batch]
        # [batch, window, heads, d_kv] each
        context.record_new_states(
            [windowed_cache.cache_prompt(t, context.length_dim, end, window) for t in keys_values]
        )

    def _relative_bias(
        self,
        context: transformer.Context,
        params: attention.AttentionParams,
        q: mtf.Tensor,
        position: mtf.Tensor,
        memory_position: mtf.Tensor,
        visible: mtf.Tensor,
    ) -> mtf.Tensor:
        """Returns SelfAttention's bias for these positions, with this visibility mask."""
        context = copy.copy(context)
        context.position = position
        # Without these, compute_bias adds no mask of its own.
        context.read_priority = context.sequence_id = context.subsequence_id = None
        bias = self.compute_bias(context, memory_position, None, params.query_heads_dims, q)
        hidden = _visibility_bias(visible, context)
        return hidden if bias is None else hidden + bias

    def _attention(
        self,
        context: transformer.Context,
        q: mtf.Tensor,
        keys_values: list[mtf.Tensor],
        memory_dim: mtf.Dimension,
        bias: mtf.Tensor,
        blocks: windowed_blocks.Blocks | None = None,
    ) -> mtf.Tensor:
        context, kwargs = z_loss.attention_arguments(
            context, self.z_loss_coeff, self.attention_kwargs_from_context(context)
        )
        if blocks is not None:
            context, kwargs = windowed_blocks.attention_arguments(context, kwargs, blocks)
        return self.attention_fn(
            q,
            keys_values[0],
            keys_values[-1],
            context=context,
            memory_length_dim=memory_dim,
            key_dim=self.kv_dim,
            value_dim=self.kv_dim,
            bias=bias,
            **kwargs,
        )

    def _block_length(self, context: transformer.Context) -> int:
        """Returns the positions per block, checked against the mesh."""
        length = context.length_dim.size
        splits = mesh_layout.num_splits(context.model, context.length_dim)
        if self.block_length is None:
            return windowed_blocks.automatic_block_length(length, self.radius, splits)
        share = length // splits
        if splits > 1 and self.block_length < length and share % self.block_length:
            raise ValueError(
                f"WindowedSelfAttention.block_length = {self.block_length}: the length {length} is "
                f"split over {splits} processors of the mesh, and blocks must divide a share of "
                f"{share}; choose a divisor, or leave it None"
            )
        return self.block_length


def _check_count(name: str, value: object, meaning: str) -> None:
    checks.whole_number(
        f"WindowedSelfAttention.{name}",
        value,
        expected=f"{meaning}, a whole number of 1 or more",
        error=ValueError,
    )


def _check_autoregressive(context: transformer.Context) -> None:
    if not context.model.fully_autoregressive:
        raise ValueError(
            "WindowedSelfAttention sees only earlier positions, and the model is not fully "
            "autoregressive (an encoder, or Unitransformer.input_full_attention = True); use "
            "SelfAttention there"
        )


def _visibility_bias(visible: mtf.Tensor, context: transformer.Context) -> mtf.Tensor:
    """Returns 0 where `visible` is true and a large negative number elsewhere."""
    return attention.visibility_mask_to_attention_bias(visible, context.activation_dtype)
