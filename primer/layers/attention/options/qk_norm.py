"""RMSNorm of queries and keys, each head by itself, before positions and products.

Query-key normalization (https://arxiv.org/abs/2010.04245) bounds the logits of attention; with
RMSNorm (https://arxiv.org/abs/1910.07467) and a scale that the heads share it is that of Qwen3
(https://arxiv.org/abs/2505.09388). For x `[batch, length, heads, d_kv]`, in float32,

    y = scale * x / sqrt(mean over d_kv of x^2 + epsilon)

with kind "rms"; without the scale with "rms_unscaled". Output shape and type are those of x.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers import variables

KINDS = (None, "rms", "rms_unscaled")


def check(kind: str | None, layer: str = "MultiHeadAttention") -> None:
    """Checks the setting `qk_norm`.

    Args:
        kind: the setting's value.
        layer: the name of the layer's class, for the message.

    Raises:
        ValueError: there is no such norm.
    """
    if kind not in KINDS:
        names = ", ".join(map(repr, KINDS))
        raise ValueError(f"{layer}.qk_norm = {kind!r}: expected one of {names}")


def normalize(
    context: transformer.Context,
    x: mtf.Tensor,
    key_dim: mtf.Dimension,
    kind: str | None,
    epsilon: float,
    name: str,
) -> mtf.Tensor:
    """Returns x with each head normalized, in the type of x; x itself if kind is None.

    Args:
        context: the layer's context.
        x: queries or keys `[batch, length, heads, d_kv]`, without length in incremental mode.
        key_dim: the Dimension d_kv.
        kind: one of KINDS.
        epsilon: the number that is added to the mean square.
        name: the scope of the variable `<name>/scale` `[d_kv]`, such as "q_norm".
    """
    if kind is None:
        return x
    y = mtf.cast(x, tf.float32)
    # [batch, length, heads]
    y *= mtf.rsqrt(mtf.reduce_mean(mtf.square(y), reduced_dim=key_dim) + epsilon)
    if kind == "rms":
        with tf.variable_scope(name):
            ones = tf.ones_initializer()
            scale = variables.get_variable(context, "scale", [key_dim], ones)  # [d_kv]
        y *= mtf.cast(scale, tf.float32)
    return mtf.cast(y, x.dtype)
