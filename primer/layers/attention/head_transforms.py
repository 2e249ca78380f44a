"""What multi-head attention does to queries, keys and values behind their projections.

    q, k = rotary(norm(q)), rotary(norm(k));  q = scale * q;  v = v + value embedding

of Tensors `[batch, length, heads, d_kv]`, each part where a setting asks for it. With
Transformer-XL's logits of distances, the queries have the bias u besides.
"""

from typing import Any

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer

from primer.layers import scales
from primer.layers.attention import linear
from primer.layers.attention.options import persistent_vectors, qk_norm, rotary, value_embedding
from primer.layers.attention.transformer_xl import relative_logits
from primer.layers.attention.transformer_xl import settings as transformer_xl


def transform(
    layer: Any, context: transformer.Context, q: mtf.Tensor | None, keys_values: list[mtf.Tensor]
) -> tuple[mtf.Tensor | None, list[mtf.Tensor]]:
    """Normalizes, rotates and scales queries and keys, and adds value embeddings.

    Args:
        layer: a MultiHeadAttention.
        context: a transformer.Context.
        q: a Tensor `[batch, length, heads, d_kv]`, without length in incremental mode; or None.
        keys_values: the same of keys and values, or of what is both.

    Returns:
        The same; with rotary positions and persistent vectors, queries have further channels
        (`persistent_vectors.with_unrotated`).
    """
    k, v = keys_values[0], keys_values[-1]
    if layer.qk_norm is not None:
        q, k = (_normalize(layer, context, t, name) for t, name in ((q, "q_norm"), (k, "k_norm")))
    if layer.positions == "rotary":
        q, k = _rotate_both(layer, context, q, k)
    if layer.own_scale is not None and q is not None:
        q *= scales.resolve("MultiHeadAttention.scale", layer.own_scale, layer.key_value_size)
    if layer.positions in transformer_xl.OF_LOGITS and q is not None:
        q = relative_logits.add_query_bias(layer, context, q)
    if layer.num_value_embeddings:
        v = value_embedding.add(layer, context, v)
    return q, [k] if len(keys_values) == 1 else [k, v]


def _normalize(layer, context, x, name):
    if x is None:
        return None
    return qk_norm.normalize(context, x, layer.kv_dim, layer.qk_norm, layer.qk_norm_epsilon, name)


def _rotate_both(layer, context, q, k):
    rotated = None if q is None else _rotate(layer, context, q)
    if q is not None and layer.num_persistent_vectors:
        channels = rotary.num_channels(layer.kv_dim, layer.rotary_fraction)
        rotated = persistent_vectors.with_unrotated(rotated, q, channels)
    return rotated, _rotate(layer, context, k)


def _rotate(layer, context, x):
    position = linear.position(context) if layer.kind == "linear" else context.position
    return rotary.rotate(x, position, layer.kv_dim, layer.rotary_base, layer.rotary_fraction)
