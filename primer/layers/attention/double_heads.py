"""The Evolved Transformer's attention with twice the heads.

Evolved Transformer (https://arxiv.org/abs/1901.11117), figure 3: the first attention of a decoder's
block has twice as many heads as the second, each half as wide, so that both have as many
parameters. With `num_heads` n and `key_value_size` d of the model, queries are
`[batch, length, 2 n, d / 2]`; the rest is Mesh-TensorFlow's SelfAttention.
"""

import gin
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer_layers

from primer.layers import variable_scopes


@variable_scopes.variables_under("DoubleHeadsAttentionLayer")
@gin.configurable
class DoubleHeadsAttention(transformer_layers.SelfAttention):
    """Self-attention with twice the heads, half as wide; settings of `SelfAttention` hold too."""

    def __init__(self, **kwargs):
        """Makes a layer.

        Args:
            **kwargs: as for SelfAttention: `num_heads` and `key_value_size` are those of the
                model's other attention, and are doubled and halved here. `num_memory_heads` stays
                as it is.

        Raises:
            ValueError: key_value_size is odd, or num_memory_heads does not divide the heads.
        """
        super().__init__(**kwargs)
        if self.key_value_size % 2:
            raise ValueError(
                f"DoubleHeadsAttention.key_value_size = {self.key_value_size}: its heads are half "
                "as wide; choose an even d_kv"
            )
        self.num_heads *= 2
        self.key_value_size //= 2
        if self.num_memory_heads > 1 and self.num_heads % self.num_memory_heads:
            raise ValueError(
                f"DoubleHeadsAttention.num_memory_heads = {self.num_memory_heads} must divide the "
                f"{self.num_heads} heads, twice num_heads"
            )

    def call(self, context, x, losses=None):
        """Attends: `[batch, length, d_model]` in and out, without length in incremental mode."""
        with tf.variable_scope("double_heads_attention"):
            return super().call(context, x, losses)
