"""What a weight is for, read from its dimensions.

Optimizers treat matrices, tables and vectors differently. The dimensions of a weight are one of:

    stacked    experts, ensemble: every index along it is a weight of its own
    width      the channels of an activation: d_model, d_ff, heads, d_kv, ...; heads and d_kv beside
               each other, or both in one dimension `heads`, are the channels of all heads
    others     indices: token ids, positions, buckets, persistent vectors, the experts of a router

A weight is then

    matrix     from channels to channels: queries, keys, values, outputs, feed-forward layers, each
               expert's too
    vector     one number for each channel or fewer: biases, of words too, scales of norms, taps of
               convolutions
    table      any other: embeddings, the output to the vocabulary, positions, relative biases,
               routers
"""

from collections.abc import Iterator
from typing import Literal

import mesh_tensorflow as mtf

from primer.common.sharding import stored_weights

Role = Literal["matrix", "table", "vector"]

# Mesh-TF's names, without the underscore that it puts before one of two equal names.
STACKED = ("ensemble", "experts", "expert_x", "expert_y")
# In the order in which a weight has them: query_heads are those of one head of keys.
HEADS = ("heads", "query_heads", "d_kv")
WIDTHS = ("d_model", "d_embed", "d_ff", "expert_hidden", "narrow_branch", "lora_rank", *HEADS)
# The words and clusters of a softmax, the experts of a router: a bias of each is a vector.
OUTPUTS = ("vocab", "vocab_clusters", "expert_unsplit")
# Of options of layers that have a few learned numbers.
FACTORS = ("gate_channels", "value_and_embedding", "alpha")


def stacked_dims(shape: mtf.Shape) -> list[mtf.Dimension]:
    """Returns the dimensions whose every index is a weight of its own."""
    return [dim for dim in shape.dims if plain_name(dim) in STACKED]


def role(shape: mtf.Shape) -> Role:
    """Returns the role of a weight of this shape."""
    if matrix_sides(shape):
        return "matrix"
    sides = list(_sides(shape))
    names = {plain_name(dim) for side in sides for dim in side}
    return "vector" if len(sides) <= 1 and names <= {*WIDTHS, *FACTORS, *OUTPUTS} else "table"


def matrix_sides(shape: mtf.Shape) -> tuple[list[mtf.Dimension], list[mtf.Dimension]] | None:
    """Returns the input and the output dimensions of a matrix, without stacked ones.

    Args:
        shape: `[d_model, heads]`, `[heads, d_kv, d_model]`, `[experts, d_model, expert_hidden]`...

    Returns:
        The two lists of dimensions, or None for a weight that is no matrix.
    """
    sides = list(_sides(shape))
    if len(sides) != 2 or not all(plain_name(dim) in WIDTHS for side in sides for dim in side):
        return None
    return sides[0], sides[1]


def sides(shape: mtf.Shape) -> list[list[mtf.Dimension]]:
    """Returns the dimensions of a weight, inputs first, without stacked ones; heads are one side.

    Args:
        shape: `[d_model, heads, d_kv]`, `[vocab, d_model]`, `[d_ff]`...
    """
    return list(_sides(shape))


def _sides(shape: mtf.Shape) -> Iterator[list[mtf.Dimension]]:
    """Yields the dimensions that are not stacked, each alone but for those of heads."""
    side: list[mtf.Dimension] = []
    for dim in shape.dims:
        if plain_name(dim) in STACKED:
            continue
        if side and not _are_of_one_side(side[-1], dim):
            yield side
            side = []
        side.append(dim)
    if side:
        yield side


def _are_of_one_side(first: mtf.Dimension, second: mtf.Dimension) -> bool:
    if first.name.startswith("_") != second.name.startswith("_"):
        return False
    names = (plain_name(first), plain_name(second))
    return set(names) <= set(HEADS) and HEADS.index(names[0]) < HEADS.index(names[1])


def plain_name(dim: mtf.Dimension) -> str:
    """Returns a dimension's name without the underscore of the first of two equal names.

    A dimension that is stored under another name (`stored_weights`) has its name in the layer.
    """
    return stored_weights.logical_name(dim.name.lstrip("_"))
