"""Softmax in one pass, for graphs that are never differentiated.

Mesh-TF 0.1.21 composes it of eight passes, two of them exponentials: of attention over 512 tokens
these take five times as long as TensorFlow's own kernel, and a fifth of an evaluation on a CPU.
Training keeps Mesh-TF's form and with it the bits of its gradients. A TPU keeps it too: XLA fuses
the passes.
"""

import functools

import tensorflow.compat.v1 as tf
from mesh_tensorflow import ops  # The package itself is not whole yet when this is imported.

from primer.common import build_mode


def patch(mesh_ops):
    """Lets `mesh_tensorflow.softmax` be one operation where nothing needs its gradient."""
    mesh_ops.softmax = _in_one_pass(mesh_ops.softmax)


def _in_one_pass(stock):
    @functools.wraps(stock)
    def softmax(x, reduced_dim, extra_logit=None, name=None):
        fits = x.dtype == tf.float32 and x.shape.dims[-1:] == [reduced_dim] and extra_logit is None
        if fits and build_mode.is_forward() and not build_mode.for_tpu():
            return Softmax(x, name).outputs[0]
        return stock(x, reduced_dim, extra_logit, name)

    return softmax


class Softmax(ops.Operation):
    """Softmax over the last dimension of a float32 Tensor, which a mesh may split.

    Args:
        x: an mtf.Tensor, `[..., reduced]`.
        name: of the operation.
    """

    def __init__(self, x, name=None):
        super().__init__([x], name=name or "softmax")
        self._outputs = [ops.Tensor(self, x.shape, x.dtype)]

    def gradient(self, grad_ys):
        raise NotImplementedError("this softmax is for graphs without gradients")

    def lower(self, lowering):
        (x,) = self.inputs
        mesh_impl = lowering.mesh_impl(self)
        axis = mesh_impl.tensor_dimension_to_mesh_axis(x.shape.dims[-1])
        if axis is None:
            value = mesh_impl.slicewise(tf.nn.softmax, lowering.tensors[x])
        else:
            value = _in_parts(mesh_impl, axis, lowering.tensors[x])
        lowering.set_tensor_lowering(self.outputs[0], value)


def _in_parts(mesh_impl, axis, x):
    """The same, where each processor has a part of the dimension."""

    def over_parts(reduce, reduction, values):
        part = mesh_impl.slicewise(lambda v: reduce(v, -1, keepdims=True), values)
        return mesh_impl.allreduce(part, [axis], reduction)

    top = over_parts(tf.reduce_max, "MAX", x)
    powers = mesh_impl.slicewise(lambda x, top: tf.exp(x - top), x, top)
    return mesh_impl.slicewise(tf.divide, powers, over_parts(tf.reduce_sum, "SUM", powers))
