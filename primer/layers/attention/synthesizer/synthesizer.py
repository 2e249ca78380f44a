"""The Synthesizer: attention whose logits are learned for each pair of positions, in all variants.

Synthesizer (https://arxiv.org/abs/2005.00743). Values v `[batch, memory_length, heads, d_kv]` of x
`[batch, length, d_model]` are weighted by the softmax of logits `[batch, length, heads,
memory_length]` of position t for position s, in one of eight modes (`synthesize_mode`):

    random        R[t, s]                                   one table per head
    factorized    sum over k of  R1[k, t] R2[k, s]          a table of low rank per head
    dense         relu(x_t Wq + bq) W[s] + b[s]             the paper's, W and b per head
    dense_minus   relu(x_t Wq) W[s]                         no biases, one W for all heads
    *_plus        q_t k_s + S[t, s]                         S of random, or of dense_minus
    *_plus_alpha  (1 - a) q_t k_s + a S[t, s]               a = sigmoid(alpha), learned

The modes that work in Mesh-TensorFlow's Synthesizer keep its function and its variables. There,
"dense" fails, and "factorized" multiplies R1 and R2 at the same s, so that every position has the
same logits; here both are the paper's. Mesh-TensorFlow's tables end at 512 positions.
"""

from typing import Any

import gin
import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import attention, transformer

from primer.common import checks
from primer.layers import variables
from primer.layers.attention import (
    cached_position,
    inherited_settings,
    kv_cache,
    projections,
)
from primer.layers.attention.multi_head import MultiHeadAttention
from primer.layers.attention.synthesizer import synthesizer_logits
from primer.layers.attention.transformer_xl import settings as transformer_xl

MODES = (
    "random",
    "factorized",
    "dense",
    "dense_minus",
    "random_plus",
    "random_plus_alpha",
    "dense_plus",
    "dense_plus_alpha",
)
NAME = "SynthesizerAttention"


@variables.stored_under("Synthesizer")
@gin.configurable
class SynthesizerAttention(MultiHeadAttention):
    """Attention with learned logits; settings of `MultiHeadAttention` apply too."""

    # Its logits belong to positions of a row.
    sees_row_only = True

    def __init__(
        self,
        synthesize_mode: str = "random_plus_alpha",
        max_length: int = 512,
        factorized_dim: int = 16,
        **kwargs: Any,
    ) -> None:
        """Makes a layer.

        Args:
            synthesize_mode: how the logits are computed, one of MODES.
            max_length: the number of positions that have logits; longer texts raise an error.
            factorized_dim: only for "factorized": the rank of the table of logits.
            **kwargs: as for MultiHeadAttention. `shared_kv`, `qk_norm`, `scale`, rotary positions
                and value embeddings need a mode with keys ("plus"), a "contextual" relative bias
                one with queries ("plus" or "dense").

        Raises:
            ValueError: a setting or a combination that this layer does not support.
        """
        super().__init__(**kwargs)
        self.synthesize_mode = synthesize_mode
        self.max_length = max_length
        self.factorized_dim = factorized_dim
        self._check_own_settings()
        self._check_inherited_settings()

    @property
    def has_keys(self) -> bool:
        """Whether the logits have a product of queries and keys."""
        return "plus" in self.synthesize_mode

    @property
    def has_queries(self) -> bool:
        """Whether the logits depend on a projection of x."""
        return self.has_keys or "dense" in self.synthesize_mode

    def _check_own_settings(self) -> None:
        if self.synthesize_mode not in MODES:
            raise ValueError(
                f"{NAME}.synthesize_mode = {self.synthesize_mode!r}: expected one of "
                f"{', '.join(MODES)}"
            )
        for name in ("max_length", "factorized_dim"):
            checks.whole_number(f"{NAME}.{name}", getattr(self, name), error=ValueError)

    def _check_inherited_settings(self) -> None:
        mode = f"{NAME}.synthesize_mode = {self.synthesize_mode!r}"
        inherited_settings.check_no_attention_func(
            self, "a Synthesizer computes its attention weights itself"
        )
        self._check_settings_of_softmax(mode)
        unknown = set(self.attention_kwargs) - {"extra_logit", "dropout_broadcast_dims"}
        if unknown:
            raise ValueError(
                f"{NAME}.attention_kwargs has {', '.join(sorted(unknown))}: expected extra_logit "
                f"or dropout_broadcast_dims (a rank is {NAME}.factorized_dim, a length {NAME}."
                "max_length)"
            )
        if self.shared_kv and not self.has_keys:
            raise ValueError(
                f"{NAME}.shared_kv = True: {mode} has no keys to share with the values; set it to "
                "False, or choose a mode with 'plus'"
            )
        if self.relative_attention_type == "contextual" and not self.has_queries:
            raise ValueError(
                f"{NAME}.relative_attention_type = 'contextual': {mode} has no queries; use 'bias' "
                "or 'bias_shared', or a mode with 'dense' or 'plus'"
            )

    def _check_settings_of_softmax(self, mode: str) -> None:
        unsupported = {
            "kind": self.kind != "global",
            "positions": self.positions in transformer_xl.OF_LOGITS,
            "logit_cap": self.logit_cap is not None,
            "num_persistent_vectors": self.num_persistent_vectors > 0,
        }
        of_keys = {
            "qk_norm": self.qk_norm is not None,
            "positions": self.positions == "rotary",
            "scale": self.scale is not None,
            "num_value_embeddings": self.num_value_embeddings > 0,
        }
        for name in [name for name, is_set in unsupported.items() if is_set]:
            raise ValueError(
                f"{NAME}.{name} = {getattr(self, name)!r}: a Synthesizer has learned logits "
                "for all pairs of positions, and no other kind, cap, persistent vectors or logits "
                "of distances; use its default"
            )
        for name in [name for name, is_set in of_keys.items() if is_set and not self.has_keys]:
            raise ValueError(
                f"{NAME}.{name} = {getattr(self, name)!r}: {mode} has no product of queries and "
                "keys; use its default, or a mode with 'plus'"
            )

    def make_params(self, context: transformer.Context) -> attention.AttentionParams:
        """Makes the projections that the mode has: values and output, queries, keys."""
        return projections.make(
            self,
            context,
            shared_kv=self.shared_kv or not self.has_keys,
            no_query=not self.has_queries,
        )

    def call(
        self,
        context: transformer.Context,
        x: mtf.Tensor,
        losses: list[mtf.Tensor] | None = None,
    ) -> mtf.Tensor:
        """Attends: `[batch, length, d_model]` in and out, without length in incremental mode."""
        if context.length_dim.size > self.max_length:
            raise ValueError(
                f"{NAME}.max_length = {self.max_length} positions have logits, the text has "
                f"{context.length_dim.size}; set the macro max_length (or {NAME}.max_length) to "
                "the longest text before training, or shorten the text"
            )
        params = self.make_params(context)
        # [batch, length, heads, d_kv]
        q = synthesizer_logits.queries(self, context, params, x) if self.has_queries else None
        keys_values = kv_cache.project_keys_values(params, x)
        if self.has_keys:
            q, keys_values = self.transform_heads(context, q, keys_values)
        # [batch, memory_length, heads, d_kv] each, and [memory_length]
        keys_values, memory_position = kv_cache.update(self, context, keys_values)
        # [batch, length, heads, memory_length], some without batch.
        logits = synthesizer_logits.logits(self, context, params, q, keys_values[0])
        heads = params.query_heads_dims
        bias = self.compute_bias(context, memory_position, x, heads, q)
        if bias is not None:
            logits += mtf.cast(bias, logits.dtype)
        shape = mtf.Shape(x.shape.dims[:-1] + heads + [self.memory_length(context)])
        weights = synthesizer_logits.attention_weights(self, context, logits, shape)
        v = keys_values[-1]
        shape = mtf.Shape(x.shape.dims[:-1] + heads + [self.kv_dim])
        # [batch, length, heads, d_kv]
        o = cached_position.product(mtf.cast(weights, v.dtype), v, shape)
        # [batch, length, d_model]
        y = params.compute_output(o, output_shape=self.expected_attention_output_shape(x, params))
        return self.layer_output_from_attention_output(context, y, losses)
