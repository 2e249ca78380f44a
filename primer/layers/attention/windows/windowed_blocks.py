"""Cuts a length into blocks, each with the earlier positions that a window reaches.

Query p of an attention of radius r sees the keys (p - r, p] (Sparse Transformer,
https://arxiv.org/abs/1904.10509; Longformer, https://arxiv.org/abs/2004.05150). With b positions
per block, queries become `[batch, blocks, b, heads, d_kv]` and keys `[batch, blocks, r - 1 + b,
heads, d_kv]`: the last r - 1 positions before the block (the halo), then those of the block. There
are length x (b + r - 1) logits instead of length^2. The dimension of the blocks keeps the name of
the length, so that a layout splits it over the mesh in the same way; the halo then comes from the
neighbouring processors.
"""

import copy
import dataclasses
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

# Matrix products of shorter blocks are too small to be fast.
SHORTEST = 64


@dataclasses.dataclass(frozen=True)
class Blocks:
    """A length cut into blocks.

    Attributes:
        length_dim: the Dimension to cut.
        block_length: positions per block. An incomplete last block is padded with zeros at its end,
            where no query of a causal attention sees them.
        radius: how many keys a query sees, including its own position's.
    """

    length_dim: mtf.Dimension
    block_length: int
    radius: int

    @property
    def blocks_dim(self) -> mtf.Dimension:
        """The Dimension of the blocks, under the name of the length."""
        return mtf.Dimension(self.length_dim.name, -(-self.length_dim.size // self.block_length))

    @property
    def query_dim(self) -> mtf.Dimension:
        """The Dimension of the queries of a block."""
        return mtf.Dimension("query_block_length", self.block_length)

    @property
    def memory_dim(self) -> mtf.Dimension:
        """The Dimension of the keys of a block, the halo first."""
        return mtf.Dimension("memory_block_length", self.halo + self.block_length)

    @property
    def halo(self) -> int:
        """The number of positions that a block has before its own; zeros before the first block."""
        # A halo of r instead of r - 1, where that is whole blocks, moves in one piece.
        reach = self.radius - (1 if self.radius % self.block_length else 0)
        return min(reach, (self.blocks_dim.size - 1) * self.block_length)

    @property
    def padded_length(self) -> int:
        """The number of positions of all blocks together."""
        return self.blocks_dim.size * self.block_length

    def split_queries(self, x: mtf.Tensor) -> mtf.Tensor:
        """Cuts `[..., length, ...]` to `[..., blocks, query_block_length, ...]`."""
        return self._split(x, self.query_dim)

    def split_memory(self, x: mtf.Tensor) -> mtf.Tensor:
        """Cuts `[..., length, ...]` to `[..., blocks, memory_block_length, ...]`, with the halo."""
        own = mtf.Dimension(self.memory_dim.name, self.block_length)
        x = self._split(x, own)
        return mtf.left_halo_exchange(x, self.blocks_dim, own, self.halo)

    def join(self, x: mtf.Tensor) -> mtf.Tensor:
        """Joins `[..., blocks, query_block_length, ...]` back to `[..., length, ...]`."""
        padded = mtf.Dimension(self.length_dim.name, self.padded_length)
        x = mtf.replace_dimensions(x, [self.blocks_dim, self.query_dim], padded)
        if padded == self.length_dim:
            return x
        return mtf.slice(x, 0, self.length_dim.size, self.length_dim.name)

    def positions(self, mesh: mtf.Mesh) -> tuple[mtf.Tensor, mtf.Tensor]:
        """Returns the positions of queries and keys, int32, counted from the start of the halo."""
        # [query_block_length], [memory_block_length]
        queries = mtf.range(mesh, self.query_dim, tf.int32) + self.halo
        return queries, mtf.range(mesh, self.memory_dim, tf.int32)

    def visible(self, mesh: mtf.Mesh, segment_id: mtf.Tensor | None = None) -> mtf.Tensor:
        """Returns which keys a query sees.

        Args:
            mesh: a Mesh.
            segment_id: an optional int32 Tensor `[batch, length]`, the segments of packed examples:
                a query sees keys of its own segment only.

        Returns:
            A boolean Tensor `[query_block_length, memory_block_length, blocks]`, with batch last
            if there are segments.
        """
        query, memory = self.positions(mesh)
        distance = query - memory  # [query_block_length, memory_block_length]
        visible = mtf.logical_and(mtf.greater_equal(distance, 0), mtf.less(distance, self.radius))
        # [blocks], the position of the first key of each block.
        begin = mtf.range(mesh, self.blocks_dim, tf.int32) * self.block_length - self.halo
        # [query_block_length, memory_block_length, blocks]
        visible = mtf.logical_and(visible, mtf.greater_equal(begin + memory, 0))
        if segment_id is None:
            return visible
        # [batch, blocks, query_block_length, memory_block_length]
        same = mtf.equal(self.split_queries(segment_id), self.split_memory(segment_id))
        return mtf.logical_and(visible, same)

    def _split(self, x: mtf.Tensor, block_dim: mtf.Dimension) -> mtf.Tensor:
        missing = self.padded_length - self.length_dim.size
        padded = mtf.Dimension(self.length_dim.name, self.padded_length)
        if missing:
            x = mtf.pad(x, [0, missing], self.length_dim.name)
        return mtf.replace_dimensions(x, padded, [self.blocks_dim, block_dim])


def automatic_block_length(length: int, radius: int, num_splits: int = 1) -> int:
    """Returns the positions per block, or `length` itself where blocks are not faster.

    Blocks are about half as long as the radius, so that two thirds of the keys that a query is
    compared with are visible. In shorter ones, copying halos costs what fewer logits save
    (measured: benchmarks/windowed_attention.py). Where the length is split over the mesh, each
    processor's share is cut into equal blocks, because a split dimension cannot be padded.

    Args:
        length: the number of positions.
        radius: how many keys a query sees, including its own position's.
        num_splits: the number of processors over which the length is split.
    """
    share = length // num_splits
    count = max(1, share // max(radius // 2, SHORTEST))
    if num_splits > 1:
        while share % count:
            count -= 1
    block_length = -(-share // count)
    return block_length if 2 * (block_length + radius) <= length else length


def attention_arguments(
    context: transformer.Context, kwargs: dict[str, Any], blocks: Blocks
) -> tuple[transformer.Context, dict[str, Any]]:
    """Translates arguments of Mesh-TF's attention from the length to the dimensions of blocks.

    Args:
        context: a transformer.Context.
        kwargs: keyword arguments of `attention.attention`, besides the tensors and dimensions.
        blocks: the Blocks of queries, keys and values.
    """
    context, kwargs = copy.copy(context), dict(kwargs)
    if isinstance(context.sequence_id, mtf.Tensor):
        # [batch, blocks, query_block_length]
        context.sequence_id = blocks.split_queries(context.sequence_id)
    if "z_loss_coeff" in kwargs:
        # The loss is a mean over positions; those that pad the last block must not lower it.
        kwargs["z_loss_coeff"] *= blocks.padded_length / blocks.length_dim.size
    # Blocks have independent noise: one index of memory_block_length is another key in each block.
    kwargs["dropout_broadcast_dims"] = [
        blocks.query_dim if dim == blocks.length_dim else dim
        for dim in kwargs["dropout_broadcast_dims"]
    ]
    return context, kwargs
