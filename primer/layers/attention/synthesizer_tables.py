"""Learned tables that have a row for every position of a text, and the rows that a call needs.

A Synthesizer (https://arxiv.org/abs/2005.00743) learns numbers for positions: entry `[t, s]` of a
table of logits is for the position t that reads and the position s that is read. In a packed
example positions count from the start of each part, so that a part gets the numbers that it would
get alone; Mesh-TensorFlow's Synthesizer takes those of the row of the batch, wherever the part
happens to lie in it.

A table's dimensions `query_position` and `memory_position`, both of `max_length`, become `length`
and `memory_length`; `[batch]` comes with them where the rows of a batch need different numbers.
"""

import mesh_tensorflow as mtf

from primer.layers import positions
from primer.layers.attention import synthesizer_lookup

# Not `length`: a layout that splits the length of the activations keeps the tables whole.
QUERY, MEMORY = "query_position", "memory_position"


def at_queries(context, table):
    """The entries of the positions that read: `query_position` becomes `length`.

    In incremental mode it becomes the dimensions of `context.position`.
    """
    if context.mode == "incremental":
        dim = table.shape.get_dim_by_name(QUERY)
        # A row of the batch that is done may be taken along past the end.
        position = mtf.minimum(context.position, dim.size - 1)
        return synthesizer_lookup.lookup(table, position, dim)
    return _at(table, QUERY, context.length_dim, positions.in_part(context))


def at_memory(context, table):
    """The entries of the positions that are read: `memory_position` becomes `memory_length`."""
    memory_length = mtf.Dimension("memory_length", context.length_dim.size)
    index = None if context.mode == "incremental" else positions.in_part(context)
    if index is not None:
        index = mtf.replace_dimensions(index, context.length_dim, memory_length)
    return _at(table, MEMORY, memory_length, index)


def _at(table, name, new_dim, index):
    """The entries at this index along the dimension of this name; the first ones if None."""
    if table.shape.get_dim_by_name(name).size > new_dim.size:
        table = mtf.slice(table, 0, new_dim.size, name)
    if index is None:
        return mtf.rename_dimension(table, name, new_dim.name)
    return synthesizer_lookup.lookup(table, index, table.shape.get_dim_by_name(name))
