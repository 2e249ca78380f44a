"""Value embeddings: each token adds a learned vector of its own to the values of attention.

From the fastest public trainings of small GPTs (https://github.com/KellerJordan/modded-nanogpt),
after value residual learning (https://arxiv.org/abs/2410.17897):

    v = a * v + b * E_i[id],     a = b = 0.5 initially, learned by each layer

Of L attention layers, layer i and layer L - n + i share the table E_i, for i below n, the number of
tables: the first n and the last n layers have one. E_i is `value_embedding_<i>` `[vocab, heads *
d_kv]` under the model's scope, with the heads of the values in grouped-query attention.
"""

import math
from collections.abc import Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import graph_marks
from primer.common.class_names import class_name
from primer.layers import variables
from primer.layers.embeddings import token_inputs

SETTING = "num_value_embeddings"


def add(layer: Any, context: transformer.Context, values: mtf.Tensor) -> mtf.Tensor:
    """Adds the embeddings of the tokens to the values of an attention layer.

    Creates its variables under the current scope, and the table under the model's.

    Args:
        layer: a MultiHeadAttention of `context.model.layer_stack`.
        context: the layer's context.
        values: `[batch, length, heads, d_kv]`, without length in incremental mode; heads are those
            of the values, and missing with one head.

    Returns:
        A Tensor of the shape of values; values themselves in a layer without a table.

    Raises:
        ValueError: there are more tables than pairs of layers, the values of a pair differ in
            width, or the model's embedding does not record the ids.
    """
    layers = [each for each in context.model.layer_stack.layers if getattr(each, SETTING, 0)]
    if not graph_marks.leaves_out_blocks():
        check(layer.num_value_embeddings, len(layers))
        check_widths(layers)
    number = table_number(layers.index(layer), len(layers), layer.num_value_embeddings)
    if number is None:
        return values
    embedded = _embedded(context, values, number)  # [batch, length, heads, d_kv]
    two = mtf.Dimension("value_and_embedding", 2)
    with tf.variable_scope("value_embedding"):
        shares = variables.get_variable(context, "shares", [two], tf.constant_initializer(0.5))
    own, other = mtf.unstack(shares, two)
    return values * own + embedded * other


def check(num_tables: int, num_layers: int) -> None:
    """Raises a ValueError if there are more tables than pairs of layers.

    Args:
        num_tables: the number of tables.
        num_layers: the number of attention layers.
    """
    if 2 * num_tables > num_layers:
        raise ValueError(
            f"{SETTING} = {num_tables}: expected at most half of the {num_layers} attention "
            "layers, because the first and the last layers share a table"
        )


def check_widths(layers: Sequence[Any]) -> None:
    """Raises a ValueError if two layers share a table and their values differ in width.

    Args:
        layers: the model's attention layers with value embeddings.
    """
    for layer, other in zip(layers, layers[-getattr(layers[0], SETTING) :]):
        widths = [(x.num_memory_heads or x.num_heads) * x.key_value_size for x in (layer, other)]
        if widths[0] != widths[1]:
            raise ValueError(
                f"{SETTING} = {getattr(layer, SETTING)} and num_memory_heads = "
                f"{layer.num_memory_heads}: {class_name(layer)} and {class_name(other)} share a "
                f"table, and their values have the widths {widths[0]} and {widths[1]}; set "
                f"num_memory_heads or {SETTING} to 0"
            )


def table_number(layer_number: int, num_layers: int, num_tables: int) -> int | None:
    """Returns the index of a layer's table, or None.

    Args:
        layer_number: the index of the layer among the attention layers.
        num_layers: the number of attention layers.
        num_tables: the number of tables.
    """
    if layer_number < num_tables:
        return layer_number
    from_end = num_layers - layer_number
    return num_tables - from_end if from_end <= num_tables else None


def _embedded(context, values, number):
    inputs = token_inputs.recorded(context, SETTING)
    heads = [dim for dim in values.shape.dims if dim not in inputs.ids.shape.dims]  # [heads, d_kv]
    # Both layers of a table use one lookup, except where gradients are recomputed: such a tensor is
    # unusable outside of its layer.
    key = (SETTING, number, *heads)
    embedded = context.cache.get(key)
    if embedded is None or not embedded.usable:
        embedded = context.cache[key] = _look_up(context, inputs, heads, number)
    return embedded


def _look_up(context, inputs, heads, number):
    # A name that no layout splits: `vocab` may be split over the axis of `heads`.
    width = mtf.Dimension("value_embedding", math.prod(dim.size for dim in heads))
    model = context.model
    with tf.variable_scope(inputs.scope):
        table = transformer.VocabEmbedding(
            context.mesh,
            model.input_vocab_dim,
            width,
            context.variable_dtype,
            name=f"value_embedding_{number}",
            ensemble_dim=model.ensemble_dim,
            scale_variable_like_classifier_weights=False,
        )
    embedded = table.ids_to_embedding(inputs.ids, context)  # [batch, length, value_embedding]
    return mtf.reshape(embedded, inputs.ids.shape + heads)  # [batch, length, heads, d_kv]
