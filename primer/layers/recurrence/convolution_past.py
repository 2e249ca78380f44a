"""Hands a convolution the inputs before the positions that it convolves.

The convolutions of a layer (Primer's, `convolution.causal_depthwise_conv`) reach k - 1 positions
back. A layer with memory runs its projections up to three times: over the memory before the row,
over the row as memory of later segments, and over the row itself. Each run hands the inputs of its
convolutions, in the order of their calls, to the next one, so that the first positions of a row,
and of a segment, have their past.
"""

from collections.abc import Callable

import mesh_tensorflow as mtf

from primer.layers.recurrence.row_segments import RowSegments, last_of

# (x, length_dim, segment_id) -> the convolution of x along the length.
Convolve = Callable[[mtf.Tensor, mtf.Dimension, mtf.Tensor | None], mtf.Tensor]


class ConvolutionPast:
    """The inputs of one run of a layer's convolutions, and those before them.

    Args:
        earlier: the run over the positions before these; None: there are none.
        segment_id: the text of each position, int32 `[batch, length]`.
        segments: where a segment's past has no gradient and so is another tensor than its own
            positions: the segments of the row, and then `earlier` is the run over the same row.
    """

    def __init__(
        self,
        segment_id: mtf.Tensor,
        earlier: "ConvolutionPast | None" = None,
        segments: RowSegments | None = None,
    ) -> None:
        self._segment_id = segment_id
        self._earlier = earlier
        self._segments = segments
        # Inputs with those before them, `[batch, any length, ...]`, and the texts of these.
        self._inputs: list[mtf.Tensor] = []
        self._ids: list[mtf.Tensor] = []

    def convolve(self, x: mtf.Tensor, reach: int, convolve: Convolve) -> mtf.Tensor:
        """Returns the convolution of x `[batch, length, ...]`, and keeps x for the next run.

        Args:
            x: the input.
            reach: how many positions back the convolution sees.
            convolve: the convolution.
        """
        length = self._segment_id.shape.dims[-1]
        call = len(self._inputs)
        if self._segments is not None:
            self._inputs.append(x)
            return self._convolve_segments(x, call, reach, convolve)
        ids = self._segment_id
        if self._earlier is not None and reach:
            old, old_ids = self._earlier._inputs[call], self._earlier._ids[call]
            x = mtf.concat([last_of(old, reach, length.name), x], length.name)
            ids = mtf.concat([last_of(old_ids, reach, length.name), ids], length.name)
        self._inputs.append(x)
        self._ids.append(ids)
        y = convolve(x, ids.shape.dims[-1], ids)
        return last_of(y, length.size, length.name)

    def _convolve_segments(self, x, call, reach, convolve):
        """Convolves each segment after the last inputs of the memory before it."""
        if not reach:
            return convolve(x, self._segment_id.shape.dims[-1], self._segment_id)
        segments = RowSegments(
            self._segments.length_dim, self._segments.block_length, reach, memory_length=reach
        )
        past, ids = self._earlier._inputs[call], self._earlier._ids[call]
        length = segments.length_dim
        before = [
            mtf.slice(t, 0, reach, length.name) if _size(t, length.name) > length.size else None
            for t in (past, ids)
        ]
        rows = [last_of(t, length.size, length.name) for t in (past, ids)]
        x = segments.join_memory(x, rows[0], before[0])
        ids = segments.join_memory(self._segment_id, rows[1], before[1])
        y = convolve(x, segments.memory_dim, ids)
        y = mtf.slice(y, reach, segments.block_length, segments.memory_dim.name)
        return segments.join(
            mtf.replace_dimensions(
                y,
                mtf.Dimension(segments.memory_dim.name, segments.block_length),
                segments.query_dim,
            )
        )


def _size(x: mtf.Tensor, name: str) -> int:
    return x.shape.get_dim_by_name(name).size
