"""Selects the rows that a call needs of learned tables with one row per position.

A Synthesizer (https://arxiv.org/abs/2005.00743) learns numbers for positions: entry `[t, s]` of a
table of logits is for query position t and memory position s,

    y[length, memory_length] = table[p(length), p(memory_length)]      p the positions

In a packed example positions count from the start of each segment, so that a segment gets the
numbers that it gets alone. Mesh-TensorFlow's Synthesizer uses the index in the row of the batch.

A table's dimensions `query_position` and `memory_position`, both of `max_length`, become `length`
and `memory_length`. The result has `[batch]` too where the rows of a batch need different numbers.
"""

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer

from primer.layers import positions
from primer.layers.attention.synthesizer import synthesizer_lookup

# Not `length`: a layout that splits the length of the activations must keep the tables whole.
QUERY, MEMORY = "query_position", "memory_position"


def at_queries(context: transformer.Context, table: mtf.Tensor) -> mtf.Tensor:
    """Returns the entries of the query positions: `query_position` becomes `length`.

    In incremental mode the dimensions of `context.position` replace it.
    """
    if context.mode == "incremental":
        dim = table.shape.get_dim_by_name(QUERY)
        # A finished row of the batch continues past the end until the others are done.
        position = mtf.minimum(context.position, dim.size - 1)  # [batch]
        return synthesizer_lookup.lookup(table, position, dim)  # [batch, heads, memory_position]
    # [length, heads, memory_position]; [batch, length, ...] if packed
    return _select(table, QUERY, context.length_dim, positions.in_segment(context))


def at_memory(context: transformer.Context, table: mtf.Tensor) -> mtf.Tensor:
    """Returns the entries of the memory positions: `memory_position` becomes `memory_length`."""
    memory_length = positions.memory_length_dim(context)
    index = None if context.mode == "incremental" else positions.in_segment(context)
    if index is not None:
        # [batch, memory_length]
        index = mtf.replace_dimensions(index, context.length_dim, memory_length)
    # [length, heads, memory_length]; [batch, memory_length, length, heads] if packed
    return _select(table, MEMORY, memory_length, index)


def _select(
    table: mtf.Tensor, name: str, new_dim: mtf.Dimension, index: mtf.Tensor | None
) -> mtf.Tensor:
    """Returns the entries at `index` along the dimension `name`; the first ones for None."""
    if table.shape.get_dim_by_name(name).size > new_dim.size:
        table = mtf.slice(table, 0, new_dim.size, name)
    if index is None:
        return mtf.rename_dimension(table, name, new_dim.name)
    return synthesizer_lookup.lookup(table, index, table.shape.get_dim_by_name(name))
