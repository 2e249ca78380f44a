"""The Mesh-TensorFlow operations behind `causal_depthwise_conv`: lowering and gradient.

Primer (https://arxiv.org/abs/2109.08668), section 3:

    y[..., t, c] = sum over i < k of  tap_i[c] * x[..., t - i, c]     x, y `[..., length, channels]`

Everything but the length is component-wise. A slice `[rows..., length, channels...]` with the whole
length runs through TensorFlow's depthwise kernels. Other slices, and those on TPU, where XLA fuses
them, run as shifted products (`depthwise_slices` has both). `depthwise_layout` aligns the slices.
"""

from collections.abc import Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers import mesh_layout
from primer.layers.convolution import depthwise_layout, depthwise_slices


class CausalDepthwiseConvOperation(depthwise_layout.ConvOperation):
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

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of the convolution, for `primer.cost`."""
        return self._num_taps * self._x.shape.size

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


class CausalDepthwiseConvGradOperation(depthwise_layout.ConvOperation):
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

    @property
    def multiply_adds(self) -> int:
        """Twice those of the convolution, for `primer.planning`."""
        return 2 * self._num_taps * self._x.shape.size

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
