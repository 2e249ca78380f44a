"""Cuts a length into blocks, each beside the positions before it that a window reaches.

Query p of an attention of radius r sees the keys (p - r, p] (Sparse Transformer,
https://arxiv.org/abs/1904.10509; Longformer, https://arxiv.org/abs/2004.05150). With b positions a
block, queries become `[..., blocks, b, ...]` and keys `[..., blocks, r - 1 + b, ...]`: the last
r - 1 positions before the block (the halo), then its own. There are length x (b + r - 1) logits
instead of length^2. The dimension of the blocks keeps the name of the length, so that it is split
over the mesh as the length is; the halo then comes from the neighbouring processors.
"""

import dataclasses

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

# Shorter blocks make products too small to be fast, whatever they save.
SHORTEST = 64


@dataclasses.dataclass(frozen=True)
class Blocks:
    """How a length is cut.

    Attributes:
        length_dim: the Dimension to cut.
        block_length: positions a block. A last block that is not full is filled up with zeros:
            they come last, where no query of a causal attention sees them.
        radius: how many keys a query sees, itself included.
    """

    length_dim: mtf.Dimension
    block_length: int
    radius: int

    @property
    def blocks_dim(self):
        return mtf.Dimension(self.length_dim.name, -(-self.length_dim.size // self.block_length))

    @property
    def query_dim(self):
        return mtf.Dimension("query_block_length", self.block_length)

    @property
    def memory_dim(self):
        return mtf.Dimension("memory_block_length", self.halo + self.block_length)

    @property
    def halo(self):
        """How many positions before a block stand beside it; none lies before the first block."""
        # One more than the window reaches where that makes whole blocks: they move in one piece.
        reach = self.radius - (1 if self.radius % self.block_length else 0)
        return min(reach, (self.blocks_dim.size - 1) * self.block_length)

    @property
    def padded_length(self):
        return self.blocks_dim.size * self.block_length

    def queries(self, x):
        """`[..., length, ...]` to `[..., blocks, query_block_length, ...]`."""
        return self._cut(x, self.query_dim)

    def memories(self, x):
        """`[..., length, ...]` to `[..., blocks, memory_block_length, ...]`; zeros at the start."""
        own = mtf.Dimension(self.memory_dim.name, self.block_length)
        return mtf.left_halo_exchange(self._cut(x, own), self.blocks_dim, own, self.halo)

    def join(self, x):
        """`[..., blocks, query_block_length, ...]` back to `[..., length, ...]`."""
        padded = mtf.Dimension(self.length_dim.name, self.padded_length)
        x = mtf.replace_dimensions(x, [self.blocks_dim, self.query_dim], padded)
        if padded == self.length_dim:
            return x
        return mtf.slice(x, 0, self.length_dim.size, self.length_dim.name)

    def positions(self, mesh):
        """Where queries and keys stand, counted from the start of the halo: two int32 Tensors."""
        queries = mtf.range(mesh, self.query_dim, tf.int32) + self.halo
        return queries, mtf.range(mesh, self.memory_dim, tf.int32)

    def visible(self, mesh, part=None):
        """Which keys a query sees.

        Args:
            mesh: a Mesh.
            part: an optional int32 Tensor `[batch, length]` that numbers the parts of packed
                examples: a query sees keys of its own part.

        Returns:
            a boolean Tensor `[blocks, query_block_length, memory_block_length]`, with batch before
            if there are parts.
        """
        query, memory = self.positions(mesh)
        distance = query - memory
        visible = mtf.logical_and(mtf.greater_equal(distance, 0), mtf.less(distance, self.radius))
        begin = mtf.range(mesh, self.blocks_dim, tf.int32) * self.block_length - self.halo
        visible = mtf.logical_and(visible, mtf.greater_equal(begin + memory, 0))
        if part is None:
            return visible
        same = mtf.equal(self.queries(part), self.memories(part))
        return mtf.logical_and(visible, same)

    def _cut(self, x, block_dim):
        missing = self.padded_length - self.length_dim.size
        padded = mtf.Dimension(self.length_dim.name, self.padded_length)
        if missing:
            x = mtf.pad(x, [0, missing], self.length_dim.name)
        return mtf.replace_dimensions(x, padded, [self.blocks_dim, block_dim])


def automatic_block_length(length, radius, num_splits=1):
    """Positions a block; `length` itself where blocks would not pay.

    Blocks are about half as long as the radius, so that two thirds of the keys that a query is
    compared with are visible; in shorter ones, copying halos would cost what this saves (measured:
    benchmarks/windowed_attention.py). Where the length is split over the mesh, each processor's
    share is cut into equal blocks, because a split dimension cannot be filled up.

    Args:
        length: positions in all.
        radius: how many keys a query sees, itself included.
        num_splits: over how many processors the length is split.
    """
    share = length // num_splits
    count = max(1, share // max(radius // 2, SHORTEST))
    if num_splits > 1:
        while share % count:
            count -= 1
    block_length = -(-share // count)
    return block_length if 2 * (block_length + radius) <= length else length
