"""Transformer-XL's absolute positions: vectors of the distance to the row's end, added to inputs.

`attn_type` 2 and 3 of the authors' code (https://github.com/kimiyoung/transformer-xl,
pytorch/mem_transformer.py). With t = length - 1 - position, of x `[batch, length, d_model]`:

    transformer_xl_sinusoid   x = embeddings + R_t, the sinusoid of t (https://arxiv.org/abs/
                              1706.03762), before the dropout of the embeddings
    transformer_xl_absolute   x = x + E_t before each attention layer, its residual connection
                              included; E is `positional_embedding` `[distances, d_model]` of the
                              layer; longer distances share its first row

A row's last position has the distance 0: its length is part of the function, in decoding too.
In packed rows a position counts in its own text, which has the vectors that it has alone in a row
of the same length. Memory from before the row has the distances length, length + 1, ... backwards,
at the input of the first layer and of each attention layer (`add_to_memory`).
"""

from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers import positions, variables
from primer.layers.attention.transformer_xl import distance_vectors, settings

TABLE = "distances"


def adds_to_embeddings(layers: list[Any]) -> bool:
    """Returns whether a stack of these layers begins with `sublayer_distance_sinusoids`."""
    return any(_positions(layer) == settings.STREAM_SINUSOID for layer in layers)


def sublayer_distance_sinusoids(
    x: mtf.Tensor, layer_stack: Any, context: transformer.Context
) -> mtf.Tensor:
    """Adds sinusoids to the embeddings: a sublayer for `LayerStack.sublayers_initial`.

    Args:
        x: a Tensor `[batch, length, d_model]`, or `[batch, d_model]` in incremental mode.
        layer_stack: the stack.
        context: a transformer.Context.
    """
    layers = layer_stack.layers
    layer = next(each for each in layers if _positions(each) == settings.STREAM_SINUSOID)
    return x + mtf.cast(_sinusoids(layer, context, distance_to_end(context)), x.dtype)


def add_to_stream(layer: Any, context: transformer.Context, x: mtf.Tensor) -> mtf.Tensor:
    """Adds a layer's learned vectors to its input; other layers' input stays as it is.

    Args:
        layer: a layer of a stack.
        context: the layer's context, in the scope of the layer.
        x: a Tensor `[batch, length, d_model]`, or `[batch, d_model]` in incremental mode.
    """
    if _positions(layer) != settings.STREAM_LEARNED:
        return x
    table, table_dim = _table(layer, context)
    row = mtf.maximum(table_dim.size - 1 - distance_to_end(context), 0)
    return x + mtf.gather(table, row, table_dim)


def add_to_memory(
    layer: Any,
    context: transformer.Context,
    memory: mtf.Tensor,
    memory_dim: mtf.Dimension,
    length: int,
    is_first: bool,
) -> mtf.Tensor:
    """Adds the vectors of its distances to memory, of either of these positions, as the stream has.

    Args:
        layer: an attention layer.
        context: the layer's context, in the scope of the layer.
        memory: earlier inputs of the layer `[batch, memory_dim, d_model]`, which end where the row
            begins. They keep what was added to them as inputs, as in the authors' code.
        memory_dim: the Dimension of the memory's positions.
        length: the number of positions of the row.
        is_first: whether the layer is the first of the stack.
    """
    first = length - 1 + memory_dim.size
    if _positions(layer) == settings.STREAM_LEARNED:
        vectors = distance_vectors.rows(*_table(layer, context), first, memory_dim)
        return memory + mtf.cast(vectors, memory.dtype)
    if _positions(layer) != settings.STREAM_SINUSOID or not is_first:
        return memory
    distance = first - mtf.range(context.mesh, memory_dim, tf.int32)  # [memory_dim]
    return memory + mtf.cast(_sinusoids(layer, context, distance), memory.dtype)


def distance_to_end(context: transformer.Context) -> mtf.Tensor:
    """Returns length - 1 - position, int32 `[length]` or `[batch, length]`; `[batch]` in a step."""
    position = context.position if context.mode == "incremental" else positions.in_segment(context)
    if position is None:
        position = mtf.range(context.mesh, context.length_dim, tf.int32)
    return context.length_dim.size - 1 - position


def _sinusoids(layer: Any, context: transformer.Context, distance: mtf.Tensor) -> mtf.Tensor:
    limit = settings.clamp_length(layer, context)
    if limit is not None:
        distance = mtf.minimum(distance, limit)
    return distance_vectors.sinusoids(mtf.cast(distance, tf.float32), context.model.model_dim)


def _table(layer: Any, context: transformer.Context) -> tuple[mtf.Tensor, mtf.Dimension]:
    table_dim = mtf.Dimension(TABLE, layer.num_distances)
    initializer = tf.random_normal_initializer(stddev=0.02)
    dims = [table_dim, context.model.model_dim]
    return variables.get_variable(context, "positional_embedding", dims, initializer), table_dim


def _positions(layer: Any) -> str | None:
    return getattr(layer, "positions", None)
