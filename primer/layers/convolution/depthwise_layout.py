"""How the tensors of a depthwise convolution lie on the mesh: alignment, halos, flat slices.

With k taps, position t of the result needs x at t - k + 1 ... t, and position t of the gradient of
x needs dy at t ... t + k - 1. A slice therefore gets a halo of k - 1 positions along the length,

    [..., length, channels...] -> [..., k - 1 + length, channels...],

before it or after it: zeros at the ends of a text, and where the mesh splits the length, the
nearest positions of the neighbouring processor's slice.
"""

import math
from collections.abc import Iterable
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.simd_mesh_impl import SimdMeshImpl

from primer.common import build_mode


class ConvOperation(mtf.Operation):
    """What the convolution and its gradient share: inputs by role, layout, halos."""

    # Mesh-TF copies operations and replaces their inputs (recompute_grad), and changes inputs when
    # it stacks variables: self.inputs must be read when it is used.

    def _set_roles(self, length_dim: mtf.Dimension, num_taps: int, has_segments: bool) -> None:
        self._length_dim = length_dim
        self._num_taps = num_taps
        self._has_segments = has_segments

    @property
    def _x(self) -> mtf.Tensor:
        return self.inputs[0]

    @property
    def _taps(self) -> list[mtf.Tensor]:
        return self.inputs[1 : 1 + self._num_taps]

    @property
    def _segment_id(self) -> mtf.Tensor | None:
        return self.inputs[1 + self._num_taps] if self._has_segments else None

    @property
    def _axis(self) -> int:
        """The index of the length among the dimensions of x."""
        return self._x.shape.dims.index(self._length_dim)

    def _fits_kernels(self, mesh_impl: mtf.MeshImpl) -> bool:
        """Returns whether slices are `[rows..., length, channels...]` with the whole length."""
        channels = self._x.shape.dims[self._axis + 1 :]
        return (
            not (isinstance(mesh_impl, SimdMeshImpl) or build_mode.for_xla())
            and mesh_impl.tensor_dimension_to_mesh_axis(self._length_dim) is None
            and self._taps[0].shape.dims == channels
        )

    def _align(self, lowering: mtf.Lowering, tensor: mtf.Tensor) -> Any:
        """Returns a tensor's slices in the dimensions of x, with size 1 for those it lacks."""
        shape, dims = self._x.shape, tensor.shape.dims
        order = [dims.index(d) for d in shape.dims if d in dims]

        def align(piece: tf.Tensor) -> tf.Tensor:
            piece = tf.transpose(piece, order)
            sizes = iter(piece.shape.as_list())
            return tf.reshape(piece, [next(sizes) if d in dims else 1 for d in shape.dims])

        return lowering.mesh_impl(self).slicewise(align, lowering.tensors[tensor])

    def _add_halo(self, lowering: mtf.Lowering, laid_out: Any, before: bool) -> Any:
        """Adds k - 1 positions before (or after) the length: the neighbour's, or zeros."""
        mesh_impl = lowering.mesh_impl(self)
        axis, extra = self._axis, self._num_taps - 1
        mesh_axis = mesh_impl.tensor_dimension_to_mesh_axis(self._length_dim)
        if extra == 0:
            return laid_out
        if mesh_axis is not None:
            return self._exchange_halo(mesh_impl, laid_out, mesh_axis, before)

        def pad(piece: tf.Tensor) -> tf.Tensor:
            paddings = [[0, 0]] * piece.shape.ndims
            paddings[axis] = [extra, 0] if before else [0, extra]
            return tf.pad(piece, paddings)  # [..., k - 1 + length, channels...]

        return mesh_impl.slicewise(pad, laid_out)

    def _exchange_halo(
        self, mesh_impl: mtf.MeshImpl, laid_out: Any, mesh_axis: int, before: bool
    ) -> Any:
        """Joins each slice of a split length with the nearest positions of the adjacent slice."""
        self._check_split(mesh_impl.shape.dims[mesh_axis])
        axis, extra = self._axis, self._num_taps - 1

        def edge(piece: tf.Tensor) -> tf.Tensor:
            begin, size = [0] * piece.shape.ndims, piece.shape.as_list()
            begin[axis] = size[axis] - extra if before else 0
            size[axis] = extra
            return tf.slice(piece, begin, size)  # [..., k - 1, channels...]

        def join(piece: tf.Tensor, halo: tf.Tensor) -> tf.Tensor:
            # [..., k - 1 + length, channels...]
            return tf.concat([halo, piece] if before else [piece, halo], axis)

        halo = mesh_impl.shift_by_n_processors(
            mesh_impl.slicewise(edge, laid_out), mesh_axis, 1 if before else -1, wrap=False
        )
        return mesh_impl.slicewise(join, laid_out, halo)

    def _check_split(self, mesh_dim: mtf.Dimension) -> None:
        size = self._length_dim.size // mesh_dim.size
        if size < self._num_taps - 1:
            raise ValueError(
                f"layout rule {self._length_dim.name}:{mesh_dim.name}: {size} positions on each of "
                f"{mesh_dim.size} processors, but a causal convolution of {self._num_taps} taps "
                f"needs at least {self._num_taps - 1}; split {self._length_dim.name} over fewer "
                "processors"
            )

    def _flatten(
        self, piece: tf.Tensor, taps: Iterable[tf.Tensor], segments: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Flattens a slice to `[n, length, c]`, taps to `[k, c]`, segments to `[n, length]`."""
        shape, axis = piece.shape.as_list(), self._axis
        length = shape[axis]
        channels = math.prod(shape[axis + 1 :])
        if segments is not None:
            segments = tf.broadcast_to(segments, shape[: axis + 1] + [1] * len(shape[axis + 1 :]))
            segments = tf.reshape(segments, [-1, length])  # [n, length]
        taps = tf.stack([tf.reshape(tap, [channels]) for tap in taps])  # [k, c]
        return tf.reshape(piece, [-1, length, channels]), taps, segments
