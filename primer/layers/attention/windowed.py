"""Windowed (local) self-attention: a query sees the last `radius` positions, itself included.

Sparse Transformer (https://arxiv.org/abs/1904.10509) and Longformer
(https://arxiv.org/abs/2004.05150); the local layers of GPT-Neo. With radius r, position p of x
`[batch, length, d_model]` gets

    y_p = sum over p - r < t <= p of  softmax_t(q_p k_t + bias(p - t)) v_t,

projected back to `[batch, length, d_model]`.

Everything but the window is Mesh-TensorFlow's SelfAttention. Long texts are cut into blocks
(`windowed_blocks`) and cost length x radius; short ones are masked, which gives the same. Decoding
keeps the last r positions in a ring (`windowed_ring`), however long the text becomes.
"""

import copy

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention, transformer_layers

from primer.common import checks
from primer.layers import positions, variable_scopes
from primer.layers.attention import kv_cache, windowed_blocks, windowed_cache, z_loss


# A window is no parameter: a model has the same variables with it and without, so that the
# checkpoint of one loads into the other. (Mesh-TF's LocalSelfAttention fails in every mode, so that
# no checkpoint has its name.) For the same reason "bias_shared" is shared with layers of
# SelfAttention beside it.
@variable_scopes.variables_under("SelfAttention")
@gin.configurable
class WindowedSelfAttention(transformer_layers.SelfAttention):
    """Causal self-attention within a window; settings of `SelfAttention` hold for it too."""

    def __init__(self, radius=128, block_length=None, **kwargs):
        """Makes a layer.

        Args:
            radius: how many keys a query sees, itself included; 1 or more. More than the length
                means SelfAttention.
            block_length: positions a block in training and evaluation. None chooses; one as long as
                the text, or longer, does without blocks.
            **kwargs: as for SelfAttention; `num_memory_heads`, `shared_kv`, `combine_dims`,
                `relative_attention_type`, `z_loss_coeff`, `attention_kwargs` and so on mean the
                same. Dropout whose noise is shared along the length is shared within a block.

        Raises:
            ValueError: a setting that has no meaning here.
        """
        super().__init__(**kwargs)
        _check_count("radius", radius, "how many keys a query sees, itself included")
        if block_length is not None:
            _check_count("block_length", block_length, "positions a block, or None to choose")
        self.radius = radius
        self.block_length = block_length
        self._check_settings()

    def _check_settings(self):
        kv_cache.refuse_hyperprompts(self, "a prompt has no place in a window")
        if self.attention_func is not None:
            raise ValueError(
                f"WindowedSelfAttention.attention_func = {self.attention_func!r}: expected None; "
                "'hybrid' normalizes over the queries too, the future ones included"
            )

    def call(self, context, x, losses=None):
        """Attends: `[batch, length, d_model]` in and out, without length in incremental mode."""
        _check_autoregressive(context)
        params = self.make_params(context)
        q = params.compute_q(x)
        if self.shared_kv:
            memories = [params.compute_kv(x)]
        else:
            memories = [params.compute_k(x), params.compute_v(x)]
        if context.mode == "incremental":
            o = self._attend_in_ring(context, params, q, memories)
        else:
            o = self._attend(context, params, q, memories)
        if context.mode == "first_part":
            self._fill_ring(context, memories)
        y = params.compute_output(o, output_shape=self.expected_attention_output_shape(x, params))
        return self.layer_output_from_attention_output(context, y, losses)

    def _attend(self, context, params, q, memories):
        """All positions at once, in blocks or masked."""
        length = context.length_dim.size
        block_length = self._block_length(context)
        if block_length < length:
            blocks = windowed_blocks.Blocks(context.length_dim, block_length, self.radius)
            return self._attend_in_blocks(context, params, q, memories, blocks)
        memories = [self.rename_length_to_memory_length(m, context) for m in memories]
        position = self.rename_length_to_memory_length(context.position, context)
        bias = self.compute_bias(context, position, None, params.query_heads_dims, q)
        if self.radius < length:
            index = mtf.range(context.mesh, context.length_dim, tf.int32)
            distance = index - self.rename_length_to_memory_length(index, context)
            bias += _hide_unless(mtf.less(distance, self.radius), context)
        return self._weigh(context, q, memories, self.memory_length(context), bias)

    def _attend_in_blocks(self, context, params, q, memories, blocks):
        q = blocks.queries(q)
        memories = [blocks.memories(m) for m in memories]
        visible = blocks.visible(context.mesh, positions.segment_id(context))
        places = blocks.positions(context.mesh)
        bias = self._bias_by_distance(context, params, q, *places, visible)
        o = self._weigh(context, q, memories, blocks.memory_dim, bias, blocks)
        return blocks.join(o)

    def _attend_in_ring(self, context, params, q, memories):
        """One position, given those before it that the window holds."""
        ring = windowed_cache.ring_dim(self.radius, context.length_dim)
        old = context.get_states(len(memories))
        memories = [
            windowed_cache.write(ring_before, m, context.position, ring)
            for ring_before, m in zip(old, memories)
        ]
        context.record_new_states(memories)
        held = windowed_cache.held_positions(context.mesh, context.position, ring)
        visible = mtf.greater_equal(held, 0)
        bias = self._bias_by_distance(context, params, q, context.position, held, visible)
        return self._weigh(context, q, memories, ring, bias)

    def _fill_ring(self, context, memories):
        ring = windowed_cache.ring_dim(self.radius, context.length_dim)
        end = context.initial_position
        context.record_new_states(
            [windowed_cache.fill(m, context.length_dim, end, ring) for m in memories]
        )

    def _bias_by_distance(self, context, params, q, position, memory_position, visible):
        """SelfAttention's bias by the distance between positions; what is visible is given."""
        context = copy.copy(context)
        context.position = position
        context.read_priority = context.sequence_id = context.subsequence_id = None
        bias = self.compute_bias(context, memory_position, None, params.query_heads_dims, q)
        hidden = _hide_unless(visible, context)
        return hidden if bias is None else hidden + bias

    def _weigh(self, context, q, memories, memory_dim, bias, blocks=None):
        context, kwargs = z_loss.settings(
            context, self.z_loss_coeff, self.attention_kwargs_from_context(context)
        )
        if blocks is not None:
            context, kwargs = _for_blocks(context, kwargs, blocks)
        return self.attention_fn(
            q,
            memories[0],
            memories[-1],
            context=context,
            memory_length_dim=memory_dim,
            key_dim=self.kv_dim,
            value_dim=self.kv_dim,
            bias=bias,
            **kwargs,
        )

    def _block_length(self, context):
        """Positions a block, checked against the mesh."""
        length, splits = context.length_dim.size, _num_splits(context)
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


def _check_count(name, value, meaning):
    checks.whole_number(
        f"WindowedSelfAttention.{name}",
        value,
        expected=f"{meaning}, a whole number of 1 or more",
        error=ValueError,
    )


def _check_autoregressive(context):
    if not context.model.fully_autoregressive:
        raise ValueError(
            "WindowedSelfAttention sees the past only, and the model is not fully autoregressive "
            "(an encoder, or Unitransformer.input_full_attention = True); use SelfAttention there"
        )


def _num_splits(context):
    """Over how many processors the length is split."""
    layout, mesh_shape = context.model.layout, context.model.mesh_shape
    if not layout or not mesh_shape:
        return 1
    return mtf.tensor_dim_to_mesh_dim_size(layout, mesh_shape, context.length_dim)


def _hide_unless(visible, context):
    return attention.visibility_mask_to_attention_bias(visible, context.activation_dtype)


def _for_blocks(context, kwargs, blocks):
    """What Mesh-TF's attention says of the length, said of blocks."""
    context, kwargs = copy.copy(context), dict(kwargs)
    if isinstance(context.sequence_id, mtf.Tensor):
        context.sequence_id = blocks.queries(context.sequence_id)
    if "z_loss_coeff" in kwargs:
        # A mean over the length: the positions that fill up the last block count nothing.
        kwargs["z_loss_coeff"] *= blocks.padded_length / blocks.length_dim.size
    # Noise of its own for each block: a slot of the memory is another key in another block.
    kwargs["dropout_broadcast_dims"] = [
        blocks.query_dim if dim == blocks.length_dim else dim
        for dim in kwargs["dropout_broadcast_dims"]
    ]
    return context, kwargs
