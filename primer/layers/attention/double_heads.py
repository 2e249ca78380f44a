"""The Evolved Transformer's attention with twice the heads.

Evolved Transformer (https://arxiv.org/abs/1901.11117), figure 3: the first attention of a decoder's
block has twice as many heads as the second, each half as wide, so that both have as many
parameters. With the model's `num_heads` n and `key_value_size` d,

    q, k, v = x Wq, x Wk, x Wv     [batch, length, d_model] -> [batch, length, 2 n, d / 2]

and the rest is MultiHeadAttention.
"""

from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers import variables
from primer.layers.attention import inherited_settings
from primer.layers.attention.multi_head import MultiHeadAttention


@variables.stored_under("DoubleHeadsAttentionLayer")
@gin.configurable
class DoubleHeadsAttention(MultiHeadAttention):
    """Attention with twice the heads, half as wide; settings of `MultiHeadAttention` apply too."""

    def __init__(self, **kwargs: Any) -> None:
        """Makes a layer.

        Args:
            **kwargs: as for MultiHeadAttention. `num_heads` and `key_value_size` are those of the
                model's other attention; this layer doubles and halves them. It leaves
                `num_memory_heads` as it is.

        Raises:
            ValueError: key_value_size is odd, or num_memory_heads does not divide the heads.
        """
        super().__init__(**kwargs)

    def set_heads(self) -> None:
        """Doubles the number of heads, halves their size, and checks that they can share keys."""
        if self.key_value_size % 2:
            raise ValueError(
                f"DoubleHeadsAttention.key_value_size = {self.key_value_size}: its heads are half "
                "as wide; choose an even d_kv"
            )
        self.num_heads *= 2
        self.key_value_size //= 2
        inherited_settings.check_memory_heads(self, f"the {self.num_heads} heads, twice num_heads")

    def call(
        self,
        context: transformer.Context,
        x: mtf.Tensor,
        losses: list[mtf.Tensor] | None = None,
    ) -> mtf.Tensor:
        """Attends: `[batch, length, d_model]` in and out, without length in incremental mode."""
        with tf.variable_scope("double_heads_attention"):
            return super().call(context, x, losses)  # [batch, length, d_model]
