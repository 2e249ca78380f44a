"""The logits of a Synthesizer's variants, and the weights that attention makes of them.

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

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers.attention import synthesizer_tables as tables


def queries(layer, context, params, x):
    """Projects x `[batch, length, d_model]` to queries `[batch, length, heads, d_kv]`."""
    q = params.compute_q(x)
    if layer.synthesize_mode == "dense":
        q += _variable(context, "q_bias", params.q_dims, tf.zeros_initializer())
    return q


def logits(layer, context, params, q, k):
    """The logits of a layer.

    Args:
        layer: a SynthesizerAttention.
        context: a transformer.Context.
        params: the layer's AttentionParams.
        q: its queries; None if the mode has none.
        k: keys `[batch, memory_length, heads, d_kv]`; ignored if the mode has none.
    """
    mode = layer.synthesize_mode
    if mode.startswith("random"):
        synthetic = _random(layer, context, params)
    elif mode == "factorized":
        synthetic = _factorized(layer, context, params)
    else:
        synthetic = _dense(layer, context, params, q)
    synthetic = mtf.cast(synthetic, tf.float32)
    if not layer.has_keys:
        return synthetic
    q, k = mtf.cast(q, tf.float32), mtf.cast(k, tf.float32)
    product = mtf.layers.us_einsum([q, k], reduced_dims=[layer.kv_dim])
    if mode.endswith("alpha"):
        share = _share(context)
        return product * (1.0 - share) + synthetic * share
    return product + synthetic


def weights(layer, context, logits, shape):
    """The softmax of logits over `memory_length`, with the layer's dropout: `shape` in training."""
    memory_length = layer.memory_length(context)
    _add_z_loss(layer, context, logits, memory_length)
    kwargs = layer.attention_kwargs_from_context(context)
    result = mtf.softmax(logits, memory_length, extra_logit=kwargs.get("extra_logit"))
    rate = kwargs["dropout_rate"]
    if rate == 0.0:
        return result
    # Each row of the batch has noise of its own, also where all rows have the same logits.
    result = mtf.broadcast(result, shape)
    return mtf.dropout(
        result, context.train, rate=rate, noise_shape=shape - kwargs["dropout_broadcast_dims"]
    )


def _random(layer, context, params):
    dims = [_query_dim(layer), *params.query_heads_dims, _memory_dim(layer)]
    table = _variable(context, "R", dims)
    return tables.at_memory(context, tables.at_queries(context, table))


def _factorized(layer, context, params):
    rank = mtf.Dimension("factorized", layer.factorized_dim)
    heads = params.query_heads_dims
    rows = _variable(context, "R1", [rank, *heads, _query_dim(layer)])
    columns = _variable(context, "R2", [rank, *heads, _memory_dim(layer)])
    factors = [tables.at_queries(context, rows), tables.at_memory(context, columns)]
    return mtf.einsum([mtf.cast(f, tf.float32) for f in factors], reduced_dims=[rank])


def _dense(layer, context, params, q):
    heads = params.query_heads_dims if layer.synthesize_mode == "dense" else []
    kernel = mtf.layers.get_dense_kernel_weights(
        q,
        new_dims=[_memory_dim(layer)],
        reduced_dims=[layer.kv_dim],
        expert_dims=context.model.ensemble_dims + heads,
        kernel_initializer=None,
        name="pi",
        variable_dtype=context.variable_dtype,
    )
    factors = [mtf.relu(q), tables.at_memory(context, kernel)]
    factors = [mtf.cast(f, tf.float32) for f in factors]
    result = mtf.layers.us_einsum(factors, reduced_dims=[layer.kv_dim])
    if layer.synthesize_mode != "dense":
        return result
    with tf.variable_scope("pi"):
        bias = _variable(context, "bias", [*heads, _memory_dim(layer)], tf.zeros_initializer())
    return result + mtf.cast(tables.at_memory(context, bias), tf.float32)


def _share(context):
    """The learned share, 0 to 1, of the synthetic logits."""
    one = mtf.Dimension("alpha", 1)
    alpha = _variable(context, "alpha", [one], tf.zeros_initializer())
    return mtf.sigmoid(mtf.reduce_sum(mtf.cast(alpha, tf.float32), reduced_dim=one))


def _add_z_loss(layer, context, logits, memory_length):
    """Pushes the logits towards zero, as SelfAttention does; also where nothing is packed."""
    if layer.z_loss_coeff is None or not context.train or context.losses is None:
        return
    log_z = mtf.reduce_logsumexp(logits, memory_length)
    loss = mtf.square(log_z)
    if isinstance(context.sequence_id, mtf.Tensor):
        loss *= mtf.cast(context.nonpadding, tf.float32)
    loss = mtf.reduce_mean(loss) / (context.num_microbatches or 1)
    mtf.scalar_summary("attention_z_loss", loss)
    context.losses.append(mtf.cast(loss * layer.z_loss_coeff, context.activation_dtype))


def _variable(context, name, dims, initializer=None):
    shape = mtf.Shape(context.model.ensemble_dims + list(dims))
    return mtf.get_variable(
        context.mesh, name, shape, initializer=initializer, dtype=context.variable_dtype
    )


def _query_dim(layer):
    return mtf.Dimension(tables.QUERY, layer.max_length)


def _memory_dim(layer):
    return mtf.Dimension(tables.MEMORY, layer.max_length)
