"""Transformer-XL's logits of attention, which depend on the distance of query and key.

Transformer-XL (https://arxiv.org/abs/1901.02860), 3.3, per head, with the factor c of the logits
(d_kv^-0.5) and vectors of distances t = i - j. `positions = "transformer_xl"`:

    logit_ij = c ((q_i + u) k_j + (q_i + v) (W_r R_t))

R_t is the sinusoid of t, u and v are `r_w_bias` and `r_r_bias` `[heads, d_kv]`, of all layers or of
each, W_r is `r` `[d_model, heads * d_kv]` of each layer. `positions = "transformer_xl_learned"`:

    logit_ij = c ((q_i + u) k_j + q_i E_t + b_t)

with `r_emb` `[distances, heads, d_kv]`, `r_bias` `[distances, heads]` and u of each layer. The
products with keys are those of attention itself, with queries c (q + u); the others are a bias.
The vectors of distances belong to the heads of queries where these share keys. A soft cap bounds
the products with keys, as it leaves out all other biases.

Distances count positions of the row, or of a block and its halo, also in packed rows: keys of other
texts are hidden. Texts are as long as keys are many: these may begin before the queries do.
"""

from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers import scales, variables
from primer.layers.attention import projections
from primer.layers.attention.transformer_xl import distance_vectors, relative_shift, settings
from primer.layers.embeddings import token_inputs

# Dimensions that no layout splits.
DISTANCE, TABLE = "relative_distance", "distances"
STDDEV = 0.02  # Of the authors' initial values.


def add_query_bias(layer: Any, context: transformer.Context, q: mtf.Tensor) -> mtf.Tensor:
    """Returns c (q + u).

    Args:
        layer: a MultiHeadAttention whose positions are in `settings.OF_LOGITS`.
        context: the layer's context.
        q: queries `[batch, length, heads, d_kv]` with the factor c; any other dimensions.
    """
    return q + mtf.cast(_bias(layer, context, "r_w_bias") * _factor(layer), q.dtype)


def bias(
    layer: Any, context: transformer.Context, memory_position: mtf.Tensor, q: mtf.Tensor
) -> mtf.Tensor:
    """Returns the logits of the distances, float32 `[batch, heads, length, memory_length]`.

    Args:
        layer: a MultiHeadAttention whose positions are in `settings.OF_LOGITS`.
        context: the layer's context. `position` has the Dimension of the queries last. In
            incremental mode, without one, it has the position of each row.
        memory_position: the positions of the keys, whose Dimension is the last. Their values count
            in incremental mode only: elsewhere the last key is that of the last query's position.
        q: the result of `add_query_bias`, in blocks too.

    Raises:
        ValueError: the model sees later positions, and these have no learned vectors.
    """
    memory_dim = memory_position.shape.dims[-1]
    q = mtf.cast(q, tf.float32)
    if context.mode == "incremental":
        rest = [dim for dim in q.shape.dims if dim != layer.kv_dim]
        distance_dim = mtf.Dimension(DISTANCE, memory_dim.size)
        products = _products(layer, context, q, rest, memory_dim.size - 1, distance_dim)
        index = memory_position - context.position + (memory_dim.size - 1)
        index = mtf.maximum(mtf.minimum(index, memory_dim.size - 1), 0)  # Others are hidden.
        return relative_shift.at_distances(products, index, memory_dim)
    query_dim = context.position.shape.dims[-1]
    rest = [dim for dim in q.shape.dims if dim not in (query_dim, layer.kv_dim)]
    later = query_dim.size if _sees_later(layer, context) else 1
    distance_dim = mtf.Dimension(DISTANCE, memory_dim.size + later)
    # [batch, heads, length, relative_distance]
    products = _products(layer, context, q, [*rest, query_dim], memory_dim.size - 1, distance_dim)
    return relative_shift.shift(products, query_dim, memory_dim)


def _products(
    layer: Any,
    context: transformer.Context,
    q: mtf.Tensor,
    dims: list[mtf.Dimension],
    first: int,
    distance_dim: mtf.Dimension,
) -> mtf.Tensor:
    """Returns the logits `[*dims, distance_dim]` of the distances first, first - 1, ..."""
    of_positions = _learned_products if layer.positions == settings.LEARNED else _sinusoid_products
    u = _bias(layer, context, "r_w_bias")
    return of_positions(layer, context, q, u, mtf.Shape([*dims, distance_dim]), first)


def _sinusoid_products(
    layer: Any,
    context: transformer.Context,
    q: mtf.Tensor,
    u: mtf.Tensor,
    shape: mtf.Shape,
    first: int,
) -> mtf.Tensor:
    v = _bias(layer, context, "r_r_bias")
    q += mtf.cast(v - u, tf.float32) * _factor(layer)  # [batch, length, heads, d_kv]
    model_dim, distance_dim = context.model.model_dim, shape.dims[-1]
    vectors = _sinusoids(layer, context, first, distance_dim)  # [relative_distance, d_model]
    weights = _weights(layer, context)  # [d_model, heads, d_kv]
    if context.mode == "incremental":
        # One query: its product with all weights costs less than the weights of all distances.
        q = mtf.einsum([q, mtf.cast(weights, tf.float32)], shape - distance_dim + model_dim)
        return mtf.einsum([q, vectors], shape)
    # [relative_distance, heads, d_kv]
    keys = mtf.einsum([mtf.cast(vectors, weights.dtype), weights], reduced_dims=[model_dim])
    return mtf.einsum([q, mtf.cast(keys, tf.float32)], shape)


def _learned_products(
    layer: Any,
    context: transformer.Context,
    q: mtf.Tensor,
    u: mtf.Tensor,
    shape: mtf.Shape,
    first: int,
) -> mtf.Tensor:
    q -= mtf.cast(u, tf.float32) * _factor(layer)  # [batch, length, heads, d_kv]
    heads, _ = projections.heads_dims(layer)
    table_dim = mtf.Dimension(TABLE, layer.num_distances)
    limit = settings.clamp_length(layer, context)

    def of_distances(name: str, dims: list[mtf.Dimension], initializer: Any) -> mtf.Tensor:
        table = variables.get_variable(context, name, [table_dim, *dims], initializer)
        found = distance_vectors.shortened(table, table_dim, limit)
        return mtf.cast(distance_vectors.rows(*found, first, shape.dims[-1]), tf.float32)

    # [relative_distance, heads, d_kv], [relative_distance, heads]
    keys = of_distances("r_emb", [*heads, layer.kv_dim], _random())
    added = of_distances("r_bias", heads, tf.zeros_initializer())
    products = mtf.einsum([q, keys], shape)
    return mtf.add(products, added * _factor(layer), output_shape=shape)


def _sinusoids(
    layer: Any, context: transformer.Context, first: int, dim: mtf.Dimension
) -> mtf.Tensor:
    """Returns `[relative_distance, d_model]`, in training with dropout, of all layers at once."""
    limit, rate = settings.clamp_length(layer, context), layer.position_dropout_rate
    key = ("transformer_xl_sinusoids", first, dim, limit, rate)
    # A tensor that was made in a layer with recomputed gradients is unusable outside of it.
    cached = context.cache.get(key)
    if cached is not None and cached.usable:
        return cached
    distance = first - mtf.range(context.mesh, dim, tf.int32)  # [relative_distance]
    if limit is not None:
        distance = mtf.maximum(mtf.minimum(distance, limit), -limit)
    vectors = distance_vectors.sinusoids(mtf.cast(distance, tf.float32), context.model.model_dim)
    vectors = mtf.dropout(vectors, context.train, rate=rate) if context.train else vectors
    context.cache[key] = vectors
    return vectors


def _weights(layer: Any, context: transformer.Context) -> mtf.Tensor:
    """Returns W_r `[d_model, heads, d_kv]`, stored as the weights of queries are."""
    heads, _ = projections.heads_dims(layer)
    model_dim, dims = context.model.model_dim, [*heads, layer.kv_dim]
    initializer = tf.random_normal_initializer(stddev=model_dim.size**-0.5)
    merged = projections.merged_dim(dims)
    stored = [merged] if layer.combine_dims else dims
    weights = variables.get_variable(context, "r", [model_dim, *stored], initializer)
    return mtf.replace_dimensions(weights, merged, dims) if layer.combine_dims else weights


def _bias(layer: Any, context: transformer.Context, name: str) -> mtf.Tensor:
    """Returns u or v, `[heads, d_kv]`."""
    dims = [*projections.heads_dims(layer)[0], layer.kv_dim]
    if layer.untie_relative_biases or layer.positions == settings.LEARNED:
        return variables.get_variable(context, name, dims, _random())
    scope = token_inputs.recorded(context, "untie_relative_biases = False").scope
    _check_equal_heads(layer, context)
    with tf.variable_scope(scope):
        return variables.get_variable(context, name, dims, _random())


def _check_equal_heads(layer: Any, context: transformer.Context) -> None:
    for other in context.model.layer_stack.layers:
        if getattr(other, "positions", None) == layer.positions:
            sizes = [(x.num_heads, x.key_value_size) for x in (layer, other)]
            if sizes[0] != sizes[1]:
                raise ValueError(
                    f"untie_relative_biases = False and attention layers with {sizes[0][0]} heads "
                    f"of {sizes[0][1]} and {sizes[1][0]} of {sizes[1][1]}, which cannot share "
                    "their biases; set untie_relative_biases = True"
                )


def _random() -> Any:
    return tf.random_normal_initializer(stddev=STDDEV)


def _factor(layer: Any) -> float:
    """Returns c, but for a factor in the initial values of the queries' projection."""
    if layer.own_scale is not None:
        return scales.resolve("MultiHeadAttention.scale", layer.own_scale, layer.key_value_size)
    return 1.0 if layer.fold_scaling_into_initializer else layer.key_value_size**-0.5


def _sees_later(layer: Any, context: transformer.Context) -> bool:
    if context.model.fully_autoregressive:
        return False
    if layer.positions == settings.LEARNED:
        raise ValueError(
            f"positions = {layer.positions!r}: later positions have no learned vectors, and the "
            "model sees them (an encoder, a masked language model); set positions = "
            f"{settings.SINUSOID!r}, whose sinusoids go on below zero"
        )
    return True
