"""The logits of a Synthesizer's variants, and the attention weights computed from them.

Synthesizer (https://arxiv.org/abs/2005.00743), sections 3.1 to 3.3; `synthesizer` has the table of
the variants. Logits are float32 `[batch, length, heads, memory_length]`, without length in
incremental mode, and without batch where they are the same for every row. Variables keep
Mesh-TensorFlow's names:

    R            [query_position, heads, memory_position]
    R1, R2       [factorized, heads, query_position], [factorized, heads, memory_position]
    pi/kernel    [d_kv, memory_position]; "dense" [heads, d_kv, memory_position]
    pi/bias      "dense" only: [heads, memory_position]
    q_bias       "dense" only: [heads, d_kv]
    alpha        [1]
"""

from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention, transformer

from primer.layers import variables
from primer.layers.attention import cached_position, z_loss
from primer.layers.attention.synthesizer import synthesizer_tables as tables

# In the signatures, `layer` is a SynthesizerAttention, whose module imports this one.


def queries(
    layer: Any, context: transformer.Context, params: attention.AttentionParams, x: mtf.Tensor
) -> mtf.Tensor:
    """Projects x `[batch, length, d_model]` to queries `[batch, length, heads, d_kv]`."""
    q = params.compute_q(x)  # [batch, length, heads, d_kv]
    if layer.synthesize_mode == "dense" and not params.has_qkv_biases:
        q += variables.get_variable(context, "q_bias", params.q_dims, tf.zeros_initializer())
    return q


def logits(
    layer: Any,
    context: transformer.Context,
    params: attention.AttentionParams,
    q: mtf.Tensor | None,
    k: mtf.Tensor,
) -> mtf.Tensor:
    """Returns the logits of a layer, float32 `[batch, length, heads, memory_length]`.

    Args:
        layer: a SynthesizerAttention.
        context: a transformer.Context.
        params: the layer's AttentionParams.
        q: queries `[batch, length, heads, d_kv]`; None if the mode has none.
        k: keys `[batch, memory_length, heads, d_kv]`; ignored if the mode has none.
    """
    mode = layer.synthesize_mode
    if mode.startswith("random"):
        synthetic = _random(layer, context, params)  # [length, heads, memory_length]
    elif mode == "factorized":
        synthetic = _factorized(layer, context, params)  # [heads, length, memory_length]
    else:
        synthetic = _dense(layer, context, params, q)  # [batch, length, heads, memory_length]
    synthetic = mtf.cast(synthetic, tf.float32)
    if not layer.has_keys:
        return synthetic
    q, k = mtf.cast(q, tf.float32), mtf.cast(k, tf.float32)
    # [batch, length, heads, memory_length]
    q = cached_position.one_query(q, k)
    product = mtf.layers.us_einsum([q, k], reduced_dims=[layer.kv_dim])
    product = cached_position.without_query(product)
    if mode.endswith("alpha"):
        share = _synthetic_share(context)  # []
        return product * (1.0 - share) + synthetic * share
    return product + synthetic


def attention_weights(
    layer: Any, context: transformer.Context, logits: mtf.Tensor, shape: mtf.Shape
) -> mtf.Tensor:
    """Returns the softmax of logits over `memory_length`, with the layer's dropout.

    Args:
        layer: a SynthesizerAttention.
        context: a transformer.Context.
        logits: the logits with the relative bias; they may lack batch.
        shape: `[batch, length, heads, memory_length]`, the result's Shape under dropout.
    """
    memory_length = layer.memory_length(context)
    z_loss.add(context, logits, memory_length, layer.z_loss_coeff, context.activation_dtype)
    kwargs = layer.attention_kwargs_from_context(context)
    weights = mtf.softmax(logits, memory_length, extra_logit=kwargs.get("extra_logit"))
    rate = kwargs["dropout_rate"]
    if rate == 0.0:
        return weights
    # Rows of the batch need independent noise, even where all rows have the same logits.
    weights = mtf.broadcast(weights, shape)  # [batch, length, heads, memory_length]
    return mtf.dropout(
        weights, context.train, rate=rate, noise_shape=shape - kwargs["dropout_broadcast_dims"]
    )


def _random(
    layer: Any, context: transformer.Context, params: attention.AttentionParams
) -> mtf.Tensor:
    dims = [_query_dim(layer), *params.query_heads_dims, _memory_dim(layer)]
    # [query_position, heads, memory_position]
    table = variables.get_variable(context, "R", dims)
    # [length, heads, memory_length]
    return tables.at_memory(context, tables.at_queries(context, table))


def _factorized(
    layer: Any, context: transformer.Context, params: attention.AttentionParams
) -> mtf.Tensor:
    rank = mtf.Dimension("factorized", layer.factorized_dim)
    heads = params.query_heads_dims
    # [factorized, heads, query_position], [factorized, heads, memory_position]
    rows = variables.get_variable(context, "R1", [rank, *heads, _query_dim(layer)])
    columns = variables.get_variable(context, "R2", [rank, *heads, _memory_dim(layer)])
    factors = [tables.at_queries(context, rows), tables.at_memory(context, columns)]
    # [heads, length, memory_length]
    return mtf.einsum([mtf.cast(f, tf.float32) for f in factors], reduced_dims=[rank])


def _dense(
    layer: Any,
    context: transformer.Context,
    params: attention.AttentionParams,
    q: mtf.Tensor,
) -> mtf.Tensor:
    heads = params.query_heads_dims if layer.synthesize_mode == "dense" else []
    kernel = mtf.layers.get_dense_kernel_weights(
        q,
        new_dims=[_memory_dim(layer)],
        reduced_dims=[layer.kv_dim],
        expert_dims=context.model.ensemble_dims + heads,
        kernel_initializer=None,
        name="pi",
        variable_dtype=context.variable_dtype,
    )  # [heads, d_kv, memory_position]; heads for "dense" only
    factors = [mtf.relu(q), tables.at_memory(context, kernel)]
    factors = [mtf.cast(f, tf.float32) for f in factors]
    # [batch, length, heads, memory_length]
    result = mtf.layers.us_einsum(factors, reduced_dims=[layer.kv_dim])
    if layer.synthesize_mode != "dense":
        return result
    with tf.variable_scope("pi"):
        dims = [*heads, _memory_dim(layer)]
        bias = variables.get_variable(context, "bias", dims, tf.zeros_initializer())
    bias = tables.at_memory(context, bias)  # [heads, memory_length]
    return result + mtf.cast(bias, tf.float32)


def _synthetic_share(context: transformer.Context) -> mtf.Tensor:
    """Returns the learned share of the synthetic logits, a scalar from 0 to 1."""
    one = mtf.Dimension("alpha", 1)
    alpha = variables.get_variable(context, "alpha", [one], tf.zeros_initializer())  # [alpha]
    return mtf.sigmoid(mtf.reduce_sum(mtf.cast(alpha, tf.float32), reduced_dim=one))  # []


def _query_dim(layer: Any) -> mtf.Dimension:
    return mtf.Dimension(tables.QUERY, layer.max_length)


def _memory_dim(layer: Any) -> mtf.Dimension:
    return mtf.Dimension(tables.MEMORY, layer.max_length)
