"""The Mesh-TensorFlow operations behind `causal_depthwise_conv`: lowering, gradient, halos.

Each is component-wise but for the length. Where a slice is `[rows..., length, channels...]` and
whole along the length, it goes through TensorFlow's depthwise kernels; elsewhere, and on TPU,
where XLA fuses them, through shifted products (`depthwise_slices` has both).
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.simd_mesh_impl import SimdMeshImpl

from primer.layers.convolution import depthwise_slices


class _ConvOperation(mtf.Operation):
    """What the convolution and its gradient share: inputs by role, layout, halos."""

    # mtf copies operations and replaces their inputs (recompute_grad), and rewires inputs when it
    # stacks variables: everything is read from self.inputs at the time of use.

    def _set_roles(self, length_dim, num_taps, has_segments):
        self._length_dim = length_dim
        self._num_taps = num_taps
        self._has_segments = has_segments

    @property
    def _x(self):
        return self.inputs[0]

    @property
    def _taps(self):
        return self.inputs[1 : 1 + self._num_taps]

    @property
    def _segment_id(self):
        return self.inputs[1 + self._num_taps] if self._has_segments else None

    @property
    def _axis(self):
        return self._x.shape.dims.index(self._length_dim)

    def _fits_kernels(self, mesh_impl):
        """Whether each slice is `[rows..., length, channels...]`, whole along the length."""
        channels = self._x.shape.dims[self._axis + 1 :]
        return (
            not isinstance(mesh_impl, SimdMeshImpl)
            and mesh_impl.tensor_dimension_to_mesh_axis(self._length_dim) is None
            and self._taps[0].shape.dims == channels
        )

    def _aligned(self, lowering, tensor):
        """The slices of a tensor with size 1 for each dimension of x that it lacks."""
        shape, dims = self._x.shape, tensor.shape.dims
        order = [dims.index(d) for d in shape.dims if d in dims]

        def align(piece):
            piece = tf.transpose(piece, order)
            sizes = iter(piece.shape.as_list())
            return tf.reshape(piece, [next(sizes) if d in dims else 1 for d in shape.dims])

        return lowering.mesh_impl(self).slicewise(align, lowering.tensors[tensor])

    def _with_halo(self, lowering, laid_out, before):
        """Adds k - 1 positions before (or after) the length: the neighbour's, or zeros."""
        mesh_impl = lowering.mesh_impl(self)
        axis, extra = self._axis, self._num_taps - 1
        mesh_axis = mesh_impl.tensor_dimension_to_mesh_axis(self._length_dim)
        if extra == 0:
            return laid_out
        if mesh_axis is not None:
            return self._with_neighbours(mesh_impl, laid_out, mesh_axis, before)

        def pad(piece):
            paddings = [[0, 0]] * piece.shape.ndims
            paddings[axis] = [extra, 0] if before else [0, extra]
            return tf.pad(piece, paddings)

        return mesh_impl.slicewise(pad, laid_out)

    def _with_neighbours(self, mesh_impl, laid_out, mesh_axis, before):
        """Joins each slice of a split length with the facing edge of the slice beside it."""
        self._check_split(mesh_impl.shape.dims[mesh_axis])
        axis, extra = self._axis, self._num_taps - 1

        def edge(piece):
            begin, size = [0] * piece.shape.ndims, piece.shape.as_list()
            begin[axis] = size[axis] - extra if before else 0
            size[axis] = extra
            return tf.slice(piece, begin, size)

        def join(piece, halo):
            return tf.concat([halo, piece] if before else [piece, halo], axis)

        halo = mesh_impl.shift_by_n_processors(
            mesh_impl.slicewise(edge, laid_out), mesh_axis, 1 if before else -1, wrap=False
        )
        return mesh_impl.slicewise(join, laid_out, halo)

    def _check_split(self, mesh_dim):
        size = self._length_dim.size // mesh_dim.size
        if size < self._num_taps - 1:
            raise ValueError(
                f"layout rule {self._length_dim.name}:{mesh_dim.name}: {size} positions on each of "
                f"{mesh_dim.size} processors, but a causal convolution of {self._num_taps} taps "
                f"needs at least {self._num_taps - 1}; do not split {self._length_dim.name} so far"
            )

    def _rows(self, piece, taps, segments):
        """Flattens a slice to `[n, length, c]`, the taps to `[k, c]`, segments to `[n, length]`."""
        shape, axis = piece.shape.as_list(), self._axis
        length = shape[axis]
        channels = _product(shape[axis + 1 :])
        if segments is not None:
            segments = tf.broadcast_to(segments, shape[: axis + 1] + [1] * len(shape[axis + 1 :]))
            segments = tf.reshape(segments, [-1, length])
        taps = tf.stack([tf.reshape(tap, [channels]) for tap in taps])
        return tf.reshape(piece, [-1, length, channels]), taps, segments


class CausalDepthwiseConvOperation(_ConvOperation):
    """y from x, the taps and the segments; see `causal_depthwise_conv`."""

    def __init__(self, x, taps, length_dim, segment_id=None, name="causal_depthwise_conv"):
        segments = [] if segment_id is None else [segment_id]
        super().__init__([x] + list(taps) + segments, name=name)
        self._set_roles(length_dim, len(taps), bool(segments))
        self._outputs = [mtf.Tensor(self, x.shape, x.dtype)]

    def gradient(self, grad_ys):
        grads = CausalDepthwiseConvGradOperation(self, grad_ys[0]).outputs
        return grads + [None] * self._has_segments

    def lower(self, lowering):
        mesh_impl = lowering.mesh_impl(self)
        lower = self._lower_kernels if self._fits_kernels(mesh_impl) else self._lower_shifted
        lowering.set_tensor_lowering(self.outputs[0], lower(lowering, mesh_impl))

    def _lower_kernels(self, lowering, mesh_impl):
        def run(piece, *rest):
            rows = self._rows(piece, rest[: self._num_taps], (*rest, None)[self._num_taps])
            return tf.reshape(depthwise_slices.convolve(*rows), piece.shape)

        taps = [lowering.tensors[tap] for tap in self._taps]
        segments = [self._aligned(lowering, self._segment_id)] if self._has_segments else []
        return mesh_impl.slicewise(run, lowering.tensors[self._x], *taps, *segments)

    def _lower_shifted(self, lowering, mesh_impl):
        def run(piece, *rest):
            segments = (*rest, None)[self._num_taps]
            taps = rest[: self._num_taps]
            return depthwise_slices.convolve_shifted(piece, taps, segments, self._axis)

        x = self._with_halo(lowering, _laid_out(lowering, self._x), before=True)
        taps = [self._aligned(lowering, tap) for tap in self._taps]
        segments = []
        if self._has_segments:
            ids = self._aligned(lowering, self._segment_id)
            segments.append(self._with_halo(lowering, ids, before=True))
        return mesh_impl.slicewise(run, x, *taps, *segments)


class CausalDepthwiseConvGradOperation(_ConvOperation):
    """The gradients of x and of each tap, from the inputs of the convolution and d y."""

    def __init__(self, forward, dy, name="causal_depthwise_conv_grad"):
        super().__init__(forward.inputs + [dy], name=name)
        self._set_roles(forward._length_dim, forward._num_taps, forward._has_segments)
        self._outputs = [
            mtf.Tensor(self, t.shape, t.dtype, index=i)
            for i, t in enumerate([self._x] + self._taps)
        ]

    def lower(self, lowering):
        mesh_impl = lowering.mesh_impl(self)
        lower = self._lower_kernels if self._fits_kernels(mesh_impl) else self._lower_shifted
        dx, *dtaps = lower(lowering, mesh_impl)
        lowering.set_tensor_lowering(self.outputs[0], dx)
        for output, dtap in zip(self.outputs[1:], dtaps):
            lowering.set_tensor_lowering(output, self._summed(lowering, output, dtap))

    def _summed(self, lowering, output, laid_out):
        """Sums a tap's gradient over the processors that hold other rows or positions."""
        mesh_impl = lowering.mesh_impl(self)
        layout = mesh_impl.tensor_layout(self._x)
        axes = [
            mesh_axis
            for dim, mesh_axis in zip(self._x.shape.dims, layout.tensor_axis_to_mesh_axis)
            if mesh_axis is not None and dim not in output.shape.dims
        ]
        if not axes:
            return laid_out

        def count():
            lowering.add_counter(f"allreduce/{axes}/conv_op", lowering.laid_out_size(output))

        return mtf.LazyAllreduceSum(mesh_impl, laid_out, axes, add_counter_fn=count)

    def _lower_kernels(self, lowering, mesh_impl):
        def run(piece, dy, *rest):
            taps = rest[: self._num_taps]
            x, rows, segments = self._rows(piece, taps, (*rest, None)[self._num_taps])
            dx, dtaps = depthwise_slices.gradients(x, rows, segments, tf.reshape(dy, x.shape))
            dtaps = tf.unstack(tf.cast(dtaps, x.dtype))
            return (tf.reshape(dx, piece.shape), *(_like(d, t) for d, t in zip(dtaps, taps)))

        taps = [lowering.tensors[tap] for tap in self._taps]
        segments = [self._aligned(lowering, self._segment_id)] if self._has_segments else []
        x, dy = lowering.tensors[self._x], lowering.tensors[self.inputs[-1]]
        return mesh_impl.slicewise(run, x, dy, *taps, *segments)

    def _lower_shifted(self, lowering, mesh_impl):
        dims, tap_dims = self._x.shape.dims, self._taps[0].shape.dims
        summed = [i for i, d in enumerate(dims) if d not in tap_dims]
        order = [[d for d in dims if d in tap_dims].index(d) for d in tap_dims]

        def run(x, dy, *rest):
            taps = rest[: self._num_taps]
            before, after = (*rest, None, None)[self._num_taps : self._num_taps + 2]
            dx, products = depthwise_slices.gradients_shifted(
                x, taps, before, dy, after, self._axis
            )
            dtaps = [tf.transpose(tf.reduce_sum(p, summed), order) for p in products]
            return (dx, *(tf.cast(dtap, x.dtype) for dtap in dtaps))

        x = self._with_halo(lowering, _laid_out(lowering, self._x), before=True)
        dy = self._with_halo(lowering, _laid_out(lowering, self.inputs[-1]), before=False)
        taps = [self._aligned(lowering, tap) for tap in self._taps]
        segments = []
        if self._has_segments:
            ids = self._aligned(lowering, self._segment_id)
            segments = [self._with_halo(lowering, ids, before=b) for b in (True, False)]
        return mesh_impl.slicewise(run, x, dy, *taps, *segments)


def _laid_out(lowering, tensor):
    return lowering.tensors[tensor].to_laid_out_tensor()


def _like(value, prototype):
    return tf.reshape(value, prototype.shape)


def _product(sizes):
    result = 1
    for size in sizes:
        result *= size
    return result
