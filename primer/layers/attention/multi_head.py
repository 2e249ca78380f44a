"""Multi-head attention: the base of this library's attention layers, with the parts that vary.

Attention Is All You Need (https://arxiv.org/abs/1706.03762), 3.2, of x `[batch, length, d_model]`:

    q, k, v = projections of x                        [batch, length, heads, d_kv]
    q, k = rotary(norm(q)), rotary(norm(k));  q = scale * q;  v = v + value embedding
    y = o Wo,  o_t = sum over s of softmax_s(cap(q_t k_s) + bias(t, s)) v_s

Each part is optional and has a file of its own: `projections` (biases, grouped heads),
`head_transforms`, and those in `options/`. The kind of a layer decides what o is:
`global_attention` sees all earlier positions, `local_attention` the last ones, `linear` replaces
the softmax. With the default settings the function and the variables are those of
Mesh-TensorFlow's SelfAttention, whose checkpoints load.
"""

from typing import Any

import gin
import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import attention, transformer, transformer_layers

from primer.layers import variables
from primer.layers.attention import (
    global_attention,
    head_transforms,
    kv_cache,
    linear,
    multi_head_settings,
    projections,
)
from primer.layers.attention.options import extra_logit, logit_bias
from primer.layers.attention.transformer_xl import settings as transformer_xl
from primer.layers.attention.windows import local_attention
from primer.layers.recurrence import recurrent_attention
from primer.layers.recurrence.settings import Recurrence

# The kind of a layer -> the function that attends; the keys are those of multi_head_settings.KINDS.
_ATTEND = {
    "global": global_attention.attend,
    "local": local_attention.attend,
    "linear": linear.attend,
}


@variables.stored_under("SelfAttention")
@gin.configurable
class MultiHeadAttention(transformer_layers.SelfAttention):
    """Multi-head attention; settings of `SelfAttention` apply too.

    Attributes:
        own_kind: the kind that the class has by default.
    """

    own_kind = "global"

    def __init__(
        self,
        kind: str = "global",
        window: int = multi_head_settings.DEFAULT_WINDOW,
        block_length: int | None = None,
        positions: str | None = None,
        rotary_base: float = 10000.0,
        rotary_fraction: float = 1.0,
        qk_norm: str | None = None,
        qk_norm_epsilon: float = 1e-6,
        biases: str = "none",
        scale: float | str | None = None,
        logit_cap: float | None = None,
        extra_logit: float | None = None,
        relative_max_distance: int = logit_bias.MAX_DISTANCE,
        causal_by_position: bool = False,
        num_persistent_vectors: int = 0,
        num_value_embeddings: int = 0,
        recurrence: Recurrence | None = None,
        untie_relative_biases: bool = False,
        clamp_length: int | None = None,
        clamp_length_eval: int | None = None,
        num_distances: int | None = None,
        position_dropout_rate: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Makes a layer.

        Args:
            kind: what a position sees: "global" all earlier positions, "local" the last `window`;
                "linear" is causal linear attention.
            window: only for "local": how many keys a query sees, its own position's included.
            block_length: only for "local": positions per block in training and evaluation. None
                chooses it; with the length of the text, or more, there are no blocks.
            positions: "rotary", "alibi", or one of Transformer-XL's (`transformer_xl.settings`);
                other encodings are not this layer's.
            rotary_base: the base of the wavelengths of rotary positions.
            rotary_fraction: the fraction of a head's channels that rotate.
            qk_norm: "rms", "rms_unscaled", or None for no norm of queries and keys.
            qk_norm_epsilon: the number added to their mean square.
            biases: the projections with biases, a key of `projections.BIASES`.
            scale: the factor of the logits, a number or "rsqrt" for d_kv^-0.5. None: d_kv^-0.5
                with qk_norm, else as `SelfAttention.fold_scaling_into_initializer` says, by default
                in the initial values of the queries' projection.
            logit_cap: the soft cap of the logits, cap * tanh(logits / cap), or None.
            extra_logit: the logit of a key without a value (`options.extra_logit`), or None.
            relative_max_distance: the distance from which relative biases are all equal.
            causal_by_position: whether the mask compares positions in the text, not in the row.
            num_persistent_vectors: learned keys and values that every position sees.
            num_value_embeddings: tables of value embeddings, each shared by two layers.
            recurrence: the memory of earlier segments, as `segment_recurrence` returns it; None:
                there is none.
            untie_relative_biases: only for "transformer_xl": whether each layer has biases u and v
                of its own.
            clamp_length: only for Transformer-XL's positions: the longest distance in training;
                longer ones are equal to it. None for no limit.
            clamp_length_eval: the same in evaluation and decoding.
            num_distances: the rows of a learned table of distances.
            position_dropout_rate: dropout of the sinusoids of distances.
            **kwargs: as for SelfAttention; `num_memory_heads`, `shared_kv`, `combine_dims`,
                `relative_attention_type`, `z_loss_coeff` and so on mean the same.

        Raises:
            ValueError: a setting or a combination that this layer does not support.
        """
        super().__init__(**kwargs)
        self.set_heads()
        self.kind = kind
        self.window = window
        self.block_length = block_length
        self.positions = positions
        self.rotary_base = rotary_base
        self.rotary_fraction = rotary_fraction
        self.qk_norm = qk_norm
        self.qk_norm_epsilon = qk_norm_epsilon
        self.biases = biases
        self.scale = scale
        self.logit_cap = logit_cap
        self.extra_logit = extra_logit
        self.relative_max_distance = relative_max_distance
        self.causal_by_position = causal_by_position
        self.num_persistent_vectors = num_persistent_vectors
        self.num_value_embeddings = num_value_embeddings
        self.recurrence = recurrence
        self.untie_relative_biases = untie_relative_biases
        self.clamp_length = clamp_length
        self.clamp_length_eval = clamp_length_eval
        self.num_distances = num_distances
        self.position_dropout_rate = position_dropout_rate
        multi_head_settings.check(self)

    def set_heads(self) -> None:
        """Changes the numbers of heads and their size, in classes that have others than the model.

        Called before the settings are checked.
        """

    @property
    def described_class(self) -> str:
        """The name by which a model directory records the layer's function."""
        return multi_head_settings.described_class(self)

    @property
    def described_settings(self) -> dict[str, int]:
        """Settings that it records besides its attributes: what `window` was called once."""
        return {"radius": self.window} if self.kind == "local" else {}

    @property
    def counts_from_row_end(self) -> bool:
        """Whether positions are distances to the end of the row, so that they change with it."""
        return self.positions in transformer_xl.OF_STREAM

    @property
    def convolution_reach(self) -> int:
        """How many positions back the projections see, in classes that convolve them."""
        return 0

    @property
    def own_scale(self) -> float | str | None:
        """The factor by which the layer multiplies queries, or None where the projection has it.

        A norm of the queries cancels a factor of their projection.
        """
        return "rsqrt" if self.scale is None and self.qk_norm is not None else self.scale

    def make_params(self, context: transformer.Context) -> attention.AttentionParams:
        """Makes the projections of queries, keys, values and the output."""
        return projections.make(self, context)

    def call(
        self,
        context: transformer.Context,
        x: mtf.Tensor,
        losses: list[mtf.Tensor] | None = None,
    ) -> mtf.Tensor:
        """Attends: `[batch, length, d_model]` in and out, without length in incremental mode."""
        multi_head_settings.say_without_effect(self, context)
        params = self.make_params(context)
        o = self._attend(context, params, x)  # [batch, length, heads, d_kv]
        # [batch, length, d_model]
        y = params.compute_output(o, output_shape=self.expected_attention_output_shape(x, params))
        return self.layer_output_from_attention_output(context, y, losses)

    def _attend(
        self, context: transformer.Context, params: attention.AttentionParams, x: mtf.Tensor
    ) -> mtf.Tensor:
        """Attends to what the layer's kind and its recurrence let a position see."""
        if self.recurrence is not None:
            return recurrent_attention.attend(self, context, params, x)
        q, keys_values = self.project(context, params, x)  # [batch, length, heads, d_kv] each
        q, keys_values = self.transform_heads(context, q, keys_values)
        return _ATTEND[self.kind](self, context, params, q, keys_values)

    def project(
        self, context: transformer.Context, params: attention.AttentionParams, x: mtf.Tensor
    ) -> tuple[mtf.Tensor | None, list[mtf.Tensor]]:
        """Projects x to queries and [keys, values], or [keys that are also values].

        Args:
            context: a transformer.Context.
            params: the result of `make_params`.
            x: a Tensor `[batch, length, d_model]`, without length in incremental mode.

        Returns:
            Tensors `[batch, length, heads, d_kv]`; keys and values have the memory heads. Of
            memory, which has no queries, they may be None.
        """
        is_memory = getattr(context, "is_memory", False)
        q = None if is_memory else params.compute_q(x)
        return q, kv_cache.project_keys_values(params, x)

    def transform_heads(
        self, context: transformer.Context, q: mtf.Tensor | None, keys_values: list[mtf.Tensor]
    ) -> tuple[mtf.Tensor | None, list[mtf.Tensor]]:
        """Normalizes, rotates and scales them, and so on (`head_transforms.transform`)."""
        return head_transforms.transform(self, context, q, keys_values)

    def compute_bias(
        self,
        context: transformer.Context,
        memory_position: mtf.Tensor,
        x: mtf.Tensor | None,
        heads_dims: list[mtf.Dimension],
        q: mtf.Tensor,
        use_prompt_kv: str | None = None,
    ) -> mtf.Tensor | None:
        """Returns the mask and the bias of positions (`logit_bias.compute`)."""
        return logit_bias.compute(self, context, memory_position, x, heads_dims, q, use_prompt_kv)

    def attention_kwargs_from_context(self, context: transformer.Context) -> dict[str, Any]:
        """Returns the keyword arguments of Mesh-TensorFlow's attention, with the extra logit."""
        kwargs = super().attention_kwargs_from_context(context)
        return extra_logit.add_to_arguments(self, kwargs)
