"""The Mesh-TensorFlow operations behind `causal_depthwise_conv`: lowering, gradient, halos.

Primer (https://arxiv.org/abs/2109.08668), section 3:

    y[..., t, c] = sum over i < k of  tap_i[c] * x[..., t - i, c]     x, y `[..., length, channels]`

Everything but the length is component-wise. A slice `[rows..., length, channels...]` with the whole
length runs through TensorFlow's depthwise kernels. Other slices, and those on TPU, where XLA fuses
them, run as shifted products (`depthwise_slices` has both).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.simd_mesh_impl import SimdMeshImpl

from primer.layers import mesh_layout
from primer.layers.convolution import depthwise_slices


class _ConvOperation(mtf.Operation):
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
            not isinstance(mesh_impl, SimdMeshImpl)
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


class CausalDepthwiseConvOperation(_ConvOperation):
    """Computes y from x, the taps and the segments; see `causal_depthwise_conv`."""

    def __init__(
        self,
        x: mtf.Tensor,
        taps: Sequence[mtf.Tensor],
        length_dim: mtf.Dimension,
        segment_id: mtf.Tensor | None = None,
        name: str = "causal_depthwise_conv",
    ) -> None:
        """Makes the operation; arguments as for `causal_depthwise_conv`."""
        segments = [] if segment_id is None else [segment_id]
        super().__init__([x] + list(taps) + segments, name=name)
        self._set_roles(length_dim, len(taps), bool(segments))
        self._outputs = [mtf.Tensor(self, x.shape, x.dtype)]

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor | None]:
        """Returns the gradients of x and of the taps; the segments have none."""
        grads = CausalDepthwiseConvGradOperation(self, grad_ys[0]).outputs
        return grads + [None] * self._has_segments

    def lower(self, lowering: mtf.Lowering) -> None:
        """Lowers to depthwise kernels where the slices fit them, else to shifted products."""
        mesh_impl = lowering.mesh_impl(self)
        lower = self._lower_kernels if self._fits_kernels(mesh_impl) else self._lower_shifted
        lowering.set_tensor_lowering(self.outputs[0], lower(lowering, mesh_impl))

    def _lower_kernels(self, lowering: mtf.Lowering, mesh_impl: mtf.MeshImpl) -> Any:
        def run(piece: tf.Tensor, *rest: tf.Tensor) -> tf.Tensor:
            # [n, length, c], [k, c], [n, length]
            flat = self._flatten(piece, rest[: self._num_taps], (*rest, None)[self._num_taps])
            return tf.reshape(depthwise_slices.convolve(*flat), piece.shape)

        taps = [lowering.tensors[tap] for tap in self._taps]
        segments = [self._align(lowering, self._segment_id)] if self._has_segments else []
        return mesh_impl.slicewise(run, lowering.tensors[self._x], *taps, *segments)

    def _lower_shifted(self, lowering: mtf.Lowering, mesh_impl: mtf.MeshImpl) -> Any:
        def run(piece: tf.Tensor, *rest: tf.Tensor) -> tf.Tensor:
            segments = (*rest, None)[self._num_taps]
            taps = rest[: self._num_taps]
            return depthwise_slices.convolve_shifted(piece, taps, segments, self._axis)

        # [..., k - 1 + length, channels...]
        x = self._add_halo(lowering, _laid_out(lowering, self._x), before=True)
        taps = [self._align(lowering, tap) for tap in self._taps]
        segments = []
        if self._has_segments:
            ids = self._align(lowering, self._segment_id)
            segments.append(self._add_halo(lowering, ids, before=True))
        return mesh_impl.slicewise(run, x, *taps, *segments)


class CausalDepthwiseConvGradOperation(_ConvOperation):
    """Computes the gradients of x and of each tap, from the inputs of the convolution and dy."""

    def __init__(
        self,
        forward: CausalDepthwiseConvOperation,
        dy: mtf.Tensor,
        name: str = "causal_depthwise_conv_grad",
    ) -> None:
        """Makes the operation.

        Args:
            forward: the convolution.
            dy: the gradient of its result.
            name: the operation's name.
        """
        super().__init__(forward.inputs + [dy], name=name)
        self._set_roles(forward._length_dim, forward._num_taps, forward._has_segments)
        self._outputs = [
            mtf.Tensor(self, t.shape, t.dtype, index=i)
            for i, t in enumerate([self._x] + self._taps)
        ]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Lowers as the convolution does, then sums the taps' gradients over the mesh."""
        mesh_impl = lowering.mesh_impl(self)
        lower = self._lower_kernels if self._fits_kernels(mesh_impl) else self._lower_shifted
        dx, *dtaps = lower(lowering, mesh_impl)
        lowering.set_tensor_lowering(self.outputs[0], dx)
        for output, dtap in zip(self.outputs[1:], dtaps):
            # Other processors hold other rows or positions.
            summed_dims = [dim for dim in self._x.shape.dims if dim not in output.shape.dims]
            axes = mesh_layout.split_axes(mesh_impl, summed_dims)
            total = mesh_layout.sum_over_axes(lowering, mesh_impl, dtap, axes, output, "conv_op")
            lowering.set_tensor_lowering(output, total)

    def _lower_kernels(self, lowering: mtf.Lowering, mesh_impl: mtf.MeshImpl) -> Any:
        def run(piece: tf.Tensor, dy: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
            taps = rest[: self._num_taps]
            # [n, length, c], [k, c], [n, length]
            x, flat_taps, segments = self._flatten(piece, taps, (*rest, None)[self._num_taps])
            # [n, length, c], [k, c]
            dx, dtaps = depthwise_slices.gradients(x, flat_taps, segments, tf.reshape(dy, x.shape))
            dtaps = tf.unstack(tf.cast(dtaps, x.dtype))
            dtaps = [tf.reshape(dtap, tap.shape) for dtap, tap in zip(dtaps, taps)]
            return (tf.reshape(dx, piece.shape), *dtaps)

        taps = [lowering.tensors[tap] for tap in self._taps]
        segments = [self._align(lowering, self._segment_id)] if self._has_segments else []
        x, dy = lowering.tensors[self._x], lowering.tensors[self.inputs[-1]]
        return mesh_impl.slicewise(run, x, dy, *taps, *segments)

    def _lower_shifted(self, lowering: mtf.Lowering, mesh_impl: mtf.MeshImpl) -> Any:
        dims, tap_dims = self._x.shape.dims, self._taps[0].shape.dims
        summed = [i for i, d in enumerate(dims) if d not in tap_dims]
        order = [[d for d in dims if d in tap_dims].index(d) for d in tap_dims]

        def run(x: tf.Tensor, dy: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
            taps = rest[: self._num_taps]
            before, after = (*rest, None, None)[self._num_taps : self._num_taps + 2]
            # [..., length, channels...] each
            dx, products = depthwise_slices.gradients_shifted(
                x, taps, before, dy, after, self._axis
            )
            # [channels...] each
            dtaps = [tf.transpose(tf.reduce_sum(p, summed), order) for p in products]
            return (dx, *(tf.cast(dtap, x.dtype) for dtap in dtaps))

        x = self._add_halo(lowering, _laid_out(lowering, self._x), before=True)
        dy = self._add_halo(lowering, _laid_out(lowering, self.inputs[-1]), before=False)
        taps = [self._align(lowering, tap) for tap in self._taps]
        segments = []
        if self._has_segments:
            ids = self._align(lowering, self._segment_id)
            segments = [self._add_halo(lowering, ids, before=b) for b in (True, False)]
        return mesh_impl.slicewise(run, x, dy, *taps, *segments)


def _laid_out(lowering: mtf.Lowering, tensor: mtf.Tensor) -> Any:
    return lowering.tensors[tensor].to_laid_out_tensor()
