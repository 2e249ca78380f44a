"""Blocks of a length: how they are cut, joined and masked, and what they cost."""

import types

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.attention.windows import windowed_blocks
from primer.layers.attention.windows.windowed import WindowedSelfAttention
from primer.layers.attention.windows.windowed_blocks import automatic_block_length
from tests.layers import helpers
from tests.layers.attention.windows.windowed_helpers import PARTS, call, context_for, layer_settings


@pytest.mark.parametrize("radius, block_length", [(1, 4), (3, 4), (4, 4), (6, 4), (9, 2), (40, 5)])
def test_blocks_show_each_query_the_keys_of_its_window(radius, block_length):
    """The visible pairs of query and key are those of the definition, for a length of 13."""
    index = np.arange(1, 14, dtype=np.int32)
    with helpers.bench() as b:
        x = b.put(np.tile(index, [2, 1]), "batch", "length")
        blocks = windowed_blocks.Blocks(x.shape.dims[1], block_length, radius)
        visible = blocks.visible(b.mesh, b.put(PARTS.astype(np.int32), "batch", "length"))
        dims = [x.shape.dims[0], blocks.blocks_dim, blocks.query_dim, blocks.memory_dim]
        values = b.run(
            {
                "queries": blocks.split_queries(x),
                "keys": blocks.split_memory(x),
                "visible": mtf.transpose(visible, mtf.Shape(dims)),
                "joined": blocks.join(blocks.split_queries(x)),
            }
        )
    np.testing.assert_array_equal(values["joined"], np.tile(index, [2, 1]))
    pairs = set()
    for row, block, q, k in np.argwhere(values["visible"]):
        query, key = values["queries"][row, block, q], values["keys"][row, block, k]
        if query:  # 0 where the last block is padded.
            pairs.add((row, query, key))
    expected = {
        (row, query, key)
        for row in range(2)
        for query in index
        for key in range(max(1, query - radius + 1), query + 1)
        if PARTS[row, query - 1] == PARTS[row, key - 1]
    }
    assert pairs == expected


def test_dimensions_of_blocks():
    """13 positions in blocks of 4 with a window of 6: a halo of 5, and 3 positions of padding."""
    blocks = windowed_blocks.Blocks(mtf.Dimension("length", 13), block_length=4, radius=6)
    assert blocks.blocks_dim == mtf.Dimension("length", 4)
    assert blocks.memory_dim == mtf.Dimension("memory_block_length", 9)
    assert blocks.padded_length == 16


def test_arguments_of_attention_in_blocks():
    """13 positions in 4 blocks of 4; the given arguments are not changed."""
    length = mtf.Dimension("length", 13)
    blocks = windowed_blocks.Blocks(length, block_length=4, radius=6)
    heads = mtf.Dimension("heads", 2)
    kwargs = {"z_loss_coeff": 0.13, "dropout_broadcast_dims": [heads, length]}
    with helpers.bench() as b:
        ids = b.put(PARTS.astype(np.int32), "batch", "length")
        context = types.SimpleNamespace(sequence_id=ids)
        changed, arguments = windowed_blocks.attention_arguments(context, kwargs, blocks)
        values = b.run({"ids": changed.sequence_id})["ids"]
    padded = np.pad(PARTS, [[0, 0], [0, 3]])
    np.testing.assert_array_equal(values, padded.reshape(2, 4, 4))
    assert arguments["z_loss_coeff"] == pytest.approx(0.16)  # 16 positions with padding.
    assert arguments["dropout_broadcast_dims"] == [heads, blocks.query_dim]
    assert context.sequence_id is ids and kwargs["dropout_broadcast_dims"] == [heads, length]
    assert kwargs["z_loss_coeff"] == 0.13


def test_automatic_blocks():
    """Short lengths have one block; a split length is cut into equal blocks."""
    assert automatic_block_length(256, 128) == 256
    assert automatic_block_length(2048, 128) == 64
    assert automatic_block_length(2048, 512) == 256
    assert automatic_block_length(1000, 8) == 67  # 15 blocks, 5 positions of padding.
    assert automatic_block_length(2000, 8, num_splits=2) == 100  # Divides 1000.
    assert automatic_block_length(2048, 2048) == 2048


def test_blocks_make_the_cost_linear_in_the_length():
    """The largest tensor of a layer doubles with the length; masked, it quadruples."""
    largest = {}
    for length in (1024, 2048):
        for block_length in (None, length):
            with helpers.bench() as b:
                x = b.put(np.zeros([1, length, 16], np.float32), "batch", "length", "d_model")
                layer = WindowedSelfAttention(8, block_length, **layer_settings())
                call(b, layer, context_for(b, x), x)
                tensors = [t for op in b.graph.operations for t in op.outputs]
                largest[length, block_length is None] = max(t.shape.size for t in tensors)
    assert largest[2048, True] == 2 * largest[1024, True]
    assert largest[2048, False] == 4 * largest[1024, False]
