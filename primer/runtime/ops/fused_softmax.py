"""Softmax in one pass, and its gradient from the result alone.

Mesh-TF 0.1.21 composes it of eight passes, two of them exponentials, and its gradient of nine. In
attention over 512 tokens these take five times as long as TensorFlow's own kernel, and a fifth of
an evaluation on a CPU. A TPU keeps Mesh-TF's form: XLA fuses the passes.
"""

import functools
from types import ModuleType

import tensorflow.compat.v1 as tf
from mesh_tensorflow import ops  # The package is not complete yet when this module is imported.

from primer.common import build_mode


def patch(mesh_ops: ModuleType) -> None:
    """Replaces `mesh_tensorflow.ops.softmax`."""
    mesh_ops.softmax = _fused_softmax(mesh_ops.softmax)


def _fused_softmax(stock):
    @functools.wraps(stock)
    def softmax(x, reduced_dim, extra_logit=None, name=None):
        fits = x.dtype == tf.float32 and x.shape.dims[-1:] == [reduced_dim]
        fits = fits and not isinstance(extra_logit, ops.Tensor)
        if fits and not build_mode.for_tpu():
            return Softmax(x, name, extra_logit).outputs[0]
        return stock(x, reduced_dim, extra_logit, name)

    return softmax


class Softmax(ops.Operation):
    """Softmax over the last dimension, which a mesh may split.

    Args:
        x: float32, `[..., reduced]`.
        name: the name of the operation.
        extra_logit: a logit more in every row, whose probability is not returned; or None.
    """

    def __init__(
        self, x: ops.Tensor, name: str | None = None, extra_logit: float | None = None
    ) -> None:
        super().__init__([x], name=name or "softmax")
        self._extra_logit = extra_logit
        self._outputs = [ops.Tensor(self, x.shape, x.dtype)]

    def gradient(self, grad_ys: list[ops.Tensor]) -> list[ops.Tensor]:
        """Returns the gradient of x."""
        return [_SoftmaxGradient(self.outputs[0], grad_ys[0]).outputs[0]]

    def lower(self, lowering: ops.Lowering) -> None:
        """Builds the TensorFlow operations."""
        (x,) = self.inputs
        mesh_impl = lowering.mesh_impl(self)
        axis = mesh_impl.tensor_dimension_to_mesh_axis(x.shape.dims[-1])
        if axis is None:
            of_rows = functools.partial(_softmax_of_rows, extra_logit=self._extra_logit)
            value = mesh_impl.slicewise(of_rows, lowering.tensors[x])
        else:
            value = _split_softmax(mesh_impl, axis, lowering.tensors[x], self._extra_logit)
        lowering.set_tensor_lowering(self.outputs[0], value)


class _SoftmaxGradient(ops.Operation):
    """dx = y (dy - sum(y dy)), the sum over the last dimension; an extra logit changes nothing.

    Args:
        y: the softmax, `[..., reduced]`.
        dy: the gradient of y.
    """

    def __init__(self, y: ops.Tensor, dy: ops.Tensor) -> None:
        super().__init__([y, dy], name="softmax_gradient")
        self._outputs = [ops.Tensor(self, y.shape, y.dtype)]

    def lower(self, lowering: ops.Lowering) -> None:
        """Builds the TensorFlow operations."""
        y, dy = (lowering.tensors[x].to_laid_out_tensor() for x in self.inputs)
        mesh_impl = lowering.mesh_impl(self)
        axis = mesh_impl.tensor_dimension_to_mesh_axis(self.inputs[0].shape.dims[-1])
        total = mesh_impl.slicewise(lambda y, dy: tf.reduce_sum(y * dy, -1, keepdims=True), y, dy)
        if axis is not None:
            total = mesh_impl.allreduce(total, [axis], "SUM")
        value = mesh_impl.slicewise(lambda y, dy, total: y * (dy - total), y, dy, total)
        lowering.set_tensor_lowering(self.outputs[0], value)


def _softmax_of_rows(x: tf.Tensor, extra_logit: float | None = None) -> tf.Tensor:
    """Returns the softmax over the last dimension; oneDNN's kernel takes five at most."""
    if x.shape.ndims <= 5:
        shares = tf.nn.softmax(x)
    else:
        shares = tf.reshape(tf.nn.softmax(tf.reshape(x, [-1, x.shape[-1]])), x.shape)
    if extra_logit is None:
        return shares
    # With z the sum of the powers: z / (z + exp(e)) of each share. The largest share is
    # exp(top) / z, and not below 1 / length, so that its logarithm is accurate.
    top = tf.reduce_max(x, -1, keepdims=True)
    log_z = top - tf.log(tf.reduce_max(shares, -1, keepdims=True))
    return shares * tf.sigmoid(log_z - extra_logit)


def _split_softmax(mesh_impl, axis, x, extra_logit=None):
    """Returns the softmax where each processor has a part of the dimension."""

    def over_parts(reduce, reduction, values):
        part = mesh_impl.slicewise(lambda v: reduce(v, -1, keepdims=True), values)
        return mesh_impl.allreduce(part, [axis], reduction)

    top = over_parts(tf.reduce_max, "MAX", x)
    if extra_logit is not None:
        top = mesh_impl.slicewise(lambda top: tf.maximum(top, extra_logit), top)
    powers = mesh_impl.slicewise(lambda x, top: tf.exp(x - top), x, top)
    total = over_parts(tf.reduce_sum, "SUM", powers)
    if extra_logit is not None:
        total = mesh_impl.slicewise(lambda z, top: z + tf.exp(extra_logit - top), total, top)
    return mesh_impl.slicewise(tf.divide, powers, total)
