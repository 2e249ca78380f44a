"""What attention adds to its logits: the mask, and the bias of relative or other positions.

    logits = cap(q k) + mask(t, s) + bias(t, s)      [batch, heads, length, memory_length]

T5's relative bias (https://arxiv.org/abs/1910.10683) is a table `[heads, buckets]`. Of the buckets
of earlier keys, n / 2 of n are those of the distances below n / 2. The others cover logarithmically
what is left up to a longest distance, beyond which all keys have the last one. Mesh-TensorFlow's
longest distance is 128.

A query sees keys of its own text up to its own place in the row. By position (Lingvo's
`segment_pos`) it sees those whose position in the text is not above its own, which is the same for
texts in order; where all positions are equal, as in Lingvo's synthetic data, it sees all.
"""

import copy
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, transformer_layers

from primer.common import checks, graph_marks
from primer.common.class_names import class_name
from primer.layers.attention.options import alibi
from primer.layers.attention.transformer_xl import relative_logits
from primer.layers.attention.transformer_xl import settings as transformer_xl

# That of Mesh-TensorFlow's SelfAttention.
MAX_DISTANCE = 128
_OF_TABLES = ("bias", "bias_shared")


def check(layer: Any) -> None:
    """Checks the settings of relative biases and of the mask.

    Args:
        layer: a MultiHeadAttention.

    Raises:
        ValueError: a setting has no such value, or the kind of the layer has a mask of its own.
    """
    name = f"{class_name(layer)}.relative_attention"
    if layer.relative_attention_type is not None:
        buckets, distance = layer.relative_attention_num_buckets, layer.relative_max_distance
        checks.whole_number(f"{name}_num_buckets", buckets, least=2, error=ValueError)
        expected = f"a whole number above the {buckets // 2} distances that have a bucket each"
        setting = f"{class_name(layer)}.relative_max_distance"
        checks.whole_number(setting, distance, buckets // 2 + 1, expected, ValueError)
    setting = f"{class_name(layer)}.causal_by_position"
    if checks.boolean(setting, layer.causal_by_position, ValueError):
        if layer.kind != "global" or layer.recurrence is not None:
            raise ValueError(
                f"{setting} = True: kind = {layer.kind!r} and memory see keys by their place in "
                "the row; set it to False, or attention_kinds to global without memory_length"
            )


def compute(
    layer: Any,
    context: transformer.Context,
    memory_position: mtf.Tensor,
    x: mtf.Tensor | None,
    heads_dims: list[mtf.Dimension],
    q: mtf.Tensor,
    use_prompt_kv: str | None = None,
) -> mtf.Tensor | None:
    """Returns the layer's mask and biases in one Tensor, or None; as SelfAttention.compute_bias.

    Args:
        layer: a MultiHeadAttention.
        context: a transformer.Context.
        memory_position: the positions of the keys, int32 `[memory_length]`.
        x: the layer's input; only Mesh-TensorFlow's hyper-prompts read it.
        heads_dims: the Dimensions of the queries' heads.
        q: the queries `[batch, length, heads, d_kv]`.
        use_prompt_kv: None.
    """
    stock = transformer_layers.SelfAttention.compute_bias
    has_own_table = (
        layer.relative_attention_type in _OF_TABLES and layer.relative_max_distance != MAX_DISTANCE
    )
    bare = layer
    if has_own_table:
        bare = copy.copy(layer)
        bare.relative_attention_type = None
    if layer.causal_by_position:
        context = _ordered_by_position(context)
    bias = stock(bare, context, memory_position, x, heads_dims, q, use_prompt_kv)
    if has_own_table:
        table = _table_bias(layer, context, memory_position, heads_dims)
        bias = table if bias is None else bias + table
    return _with_own_positions(layer, context, memory_position, heads_dims, q, bias)


def _with_own_positions(layer, context, memory_position, heads_dims, q, bias):
    """Adds the bias of ALiBi or of Transformer-XL."""
    if layer.positions in transformer_xl.OF_LOGITS:
        # [batch, heads, length, memory_length]
        logits = relative_logits.bias(layer, context, memory_position, q)
        if bias is None:
            return logits
        return mtf.add(logits, mtf.cast(bias, tf.float32), output_shape=logits.shape)
    if layer.positions != "alibi":
        return bias
    sees_later = not context.model.fully_autoregressive
    # [heads, length, memory_length]
    distances = alibi.bias(context.mesh, heads_dims, context.position, memory_position, sees_later)
    return distances if bias is None else mtf.cast(bias, tf.float32) + distances


def _table_bias(layer, context, memory_position, heads_dims):
    """Returns the relative bias `[heads, length, memory_length]` with the layer's own distance."""
    buckets = mtf.Dimension("buckets", layer.relative_attention_num_buckets)
    bucket = transformer_layers._relative_position_bucket(
        memory_position - context.position,
        bidirectional=not context.model.fully_autoregressive,
        num_buckets=buckets.size,
        max_distance=layer.relative_max_distance,
    )  # [length, memory_length]
    return mtf.gather(_table(layer, context, heads_dims, buckets), bucket, buckets)


def _table(layer, context, heads_dims, buckets):
    """Returns the table `[heads, buckets]`, as SelfAttention names and shares it."""
    key = ("self_attention_bias", None, None, tuple(heads_dims))
    is_shared = layer.relative_attention_type == "bias_shared"
    if is_shared and key in context.cache:
        return context.cache[key]
    shape = [*context.model.ensemble_dims, *heads_dims, buckets]
    table = mtf.get_variable(
        context.mesh, "relative_attention_bias", mtf.Shape(shape), dtype=context.variable_dtype
    )
    if is_shared:
        context.cache[key] = table
    return table


def _ordered_by_position(context: transformer.Context) -> transformer.Context:
    """Returns a context whose mask is that of the positions in the texts.

    Decoding reads one text, whose positions are its places in the row.
    """
    position = graph_marks.text_positions()
    if context.mode in ("first_part", "incremental") or position is None:
        return context
    context = copy.copy(context)
    context.read_priority = context.write_priority = position  # [batch, length]
    return context
