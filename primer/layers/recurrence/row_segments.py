"""A row cut into segments, each with the memory of the positions before it.

With T positions per segment and M of memory, queries are `[batch, blocks, T, heads, d_kv]`, keys
`[batch, blocks, M + T, heads, d_kv]` those of the memory, then those of the segment. Query i
and key j of a segment are i + M - j positions apart.
"""

import dataclasses

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers.attention.windows import windowed_blocks


@dataclasses.dataclass(frozen=True)
class RowSegments(windowed_blocks.Blocks):
    """Blocks whose halo is the memory: hidden states of earlier segments, or of earlier rows.

    Attributes:
        length_dim, block_length: as in Blocks; a block is a segment.
        radius: how many keys a query sees at most, its own position's included.
        memory_length: positions of memory before each segment, M.
    """

    memory_length: int = 0

    @property
    def halo(self) -> int:
        """The positions of memory, M."""
        return self.memory_length

    def join_memory(
        self, own: mtf.Tensor, past: mtf.Tensor | None, before: mtf.Tensor | None
    ) -> mtf.Tensor:
        """Returns `[..., blocks, M + T, ...]`: the memory of each segment, then its own positions.

        Args:
            own: a Tensor `[..., length, ...]` of the row.
            past: what memory has of the row, of the same shape; None if there is one segment.
            before: the M positions before the row, `[..., M, ...]` with the length's name; None
                if there are none: then M is no more than all segments but the last have.
        """
        segments = self._split(own, mtf.Dimension(self.memory_dim.name, self.block_length))
        if not self.halo:
            return segments
        return mtf.concat([self.memory(past, before), segments], self.memory_dim.name)

    def memory(self, past: mtf.Tensor | None, before: mtf.Tensor | None) -> mtf.Tensor:
        """Returns the memory of each segment, `[..., blocks, M, ...]`; arguments as above."""
        halo = mtf.Dimension(self.memory_dim.name, self.halo)
        own = mtf.Dimension(self.memory_dim.name, self.block_length)
        if past is None:
            return mtf.replace_dimensions(
                before, mtf.Dimension(self.length_dim.name, self.halo), [self.blocks_dim, halo]
            )
        in_front = -(-self.halo // self.block_length) if before is not None else 0
        if before is not None:
            missing = in_front * self.block_length - self.halo
            if missing:
                before = mtf.pad(before, [missing, 0], self.length_dim.name)
            past = mtf.concat([before, past], self.length_dim.name)
        flat = dataclasses.replace(
            self, length_dim=past.shape.get_dim_by_name(self.length_dim.name)
        )
        blocks = flat._split(past, own)
        # left_halo_exchange returns the halo and the block: what is wanted is the halo alone.
        with_halo = mtf.left_halo_exchange(blocks, flat.blocks_dim, own, self.halo)
        memory = mtf.slice(with_halo, 0, self.halo, self.memory_dim.name)
        if not in_front:
            return memory
        return mtf.slice(memory, in_front, self.blocks_dim.size, self.length_dim.name)

    def visible_from(
        self, mesh: mtf.Mesh, segment_id: mtf.Tensor, memory_id: mtf.Tensor, sees_zeros: bool
    ) -> mtf.Tensor:
        """Returns which keys a query sees, boolean `[batch, blocks, T, M + T]` in some order.

        Args:
            mesh: a Mesh.
            segment_id: the text of each position of the row, int32 `[batch, length]`.
            memory_id: the same of the keys, `[batch, blocks, M + T]`; 0 where there is none.
            sees_zeros: whether keys where there is no text are seen.
        """
        query, memory = self.positions(mesh)
        distance = query - memory  # [query_block_length, memory_block_length]
        near = mtf.logical_and(mtf.greater_equal(distance, 0), mtf.less(distance, self.radius))
        # [batch, blocks, query_block_length, memory_block_length]
        same = mtf.equal(self.split_queries(segment_id), memory_id)
        if sees_zeros:
            same = mtf.logical_or(same, mtf.equal(memory_id, 0))
        return mtf.logical_and(same, near)


def last_of(x: mtf.Tensor, count: int, name: str) -> mtf.Tensor:
    """Returns the last `count` positions of x along the dimension of this name."""
    size = x.shape.get_dim_by_name(name).size
    return x if size == count else mtf.slice(x, size - count, count, name)


def number_of_tokens(segment_id: mtf.Tensor, length_dim: mtf.Dimension) -> mtf.Tensor:
    """Returns how many positions of a row have tokens, int32 `[batch]`; padding is at its end."""
    return mtf.reduce_sum(mtf.cast(mtf.not_equal(segment_id, 0), tf.int32), reduced_dim=length_dim)
