"""The cross entropy over a vocabulary, which is a large part of a small model's step.

Mesh-TF 0.1.21 makes a dozen passes over `[batch, length, vocab]`. This operation makes one softmax
and little more; in graphs without gradients, of some rows at a time. On a mesh that splits the
vocabulary every processor computes its own part, and one allreduce adds the parts.

A TPU keeps Mesh-TF's form.
"""

import functools
from types import ModuleType

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import build_mode, graph_marks
from primer.runtime.ops.embedding_lookup import local_ids

# Positions whose softmax is in memory at a time in a graph without gradients.
_ROWS_AT_A_TIME = 512


def patch(transformer: ModuleType) -> None:
    """Replaces the loss of `Unitransformer`, and the cross entropy that an evaluation reports.

    Both have then the same operations, which TensorFlow computes once.
    """
    model = transformer.Unitransformer
    model._compute_loss = _fused_loss(model._compute_loss)
    layers = transformer.mtf.layers
    layers.softmax_cross_entropy_with_logits = _fused_cross_entropy(
        layers.softmax_cross_entropy_with_logits
    )


def _fused_loss(stock):
    @functools.wraps(stock)
    def compute_loss(self, context, logits, targets, output_vocab_dim):
        special = self._loss_fn or self.label_smoothing or self.loss_on_targets_only
        if build_mode.for_tpu() or special or logits.shape != targets.shape + [output_vocab_dim]:
            return stock(self, context, logits, targets, output_vocab_dim)
        z_loss = self.z_loss if context.train else 0.0
        # Negative ids mark targets without a loss, as 0 does.
        ids = mtf.maximum(targets, 0)
        token_losses = graph_marks.token_losses(logits)
        if token_losses is None:
            loss = cross_entropy(logits, ids, output_vocab_dim, z_loss)
        else:
            loss = token_losses(ids)
        loss *= mtf.cast(mtf.greater(targets, 0), loss.dtype)
        return mtf.reduce_sum(loss) / self.loss_denominator(targets, context.num_microbatches)

    return compute_loss


def _fused_cross_entropy(stock):
    @functools.wraps(stock)
    def softmax_cross_entropy_with_logits(logits, targets, vocab_dim, z_loss=0.0):
        fits = targets.dtype.is_integer and logits.shape == targets.shape + [vocab_dim]
        fits = fits and logits.dtype == tf.float32
        if fits and build_mode.is_forward() and not build_mode.for_tpu():
            return cross_entropy(logits, mtf.maximum(targets, 0), vocab_dim, z_loss)
        return stock(logits, targets, vocab_dim, z_loss)

    return softmax_cross_entropy_with_logits


def cross_entropy(
    logits: mtf.Tensor, targets: mtf.Tensor, vocab_dim: mtf.Dimension, z_loss: float = 0.0
) -> mtf.Tensor:
    """Computes -log softmax(logits)[targets] + z_loss * log(z)^2 in float32.

    Args:
        logits: `[..., vocab]`.
        targets: integers, `[...]`.
        vocab_dim: the dimension of the vocabulary.
        z_loss: the coefficient of the squared logarithm of the partition function z.

    Returns:
        float32, of the shape of `targets`.
    """
    logits = mtf.transpose(mtf.cast(logits, tf.float32), targets.shape + [vocab_dim])
    return CrossEntropy(logits, targets, vocab_dim, z_loss).outputs[0]


class CrossEntropy(mtf.Operation):
    """The operation of `cross_entropy`.

    Args:
        logits: float32, `[..., vocab]`; the vocabulary is the last dimension.
        targets, vocab_dim, z_loss: as in `cross_entropy`.
        name: the name of the operation.
    """

    def __init__(
        self,
        logits: mtf.Tensor,
        targets: mtf.Tensor,
        vocab_dim: mtf.Dimension,
        z_loss: float,
        name: str = "cross_entropy",
    ) -> None:
        super().__init__([logits, targets], name=name)
        self.vocab_dim = vocab_dim
        self.z_loss = z_loss
        self._is_forward = build_mode.is_forward()
        self.softmax = self.log_z = None  # Set by `lower`, for the gradient.
        self._outputs = [mtf.Tensor(self, targets.shape, tf.float32)]

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor | None]:
        """Returns the gradient of the logits; targets have none."""
        return [CrossEntropyGradient(self, grad_ys[0]).outputs[0], None]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Builds the TensorFlow operations."""
        logits = lowering.tensors[self.inputs[0]]
        mesh_impl = lowering.mesh_impl(self)
        axis = mesh_impl.tensor_dimension_to_mesh_axis(self.vocab_dim)
        local = local_ids(lowering, self.inputs[1], self.vocab_dim)
        picked = mesh_impl.slicewise(_pick, logits, local)
        if axis is None and self._is_forward:
            self.log_z = mesh_impl.slicewise(_log_z, logits)
        elif axis is None:
            self.softmax, self.log_z = mesh_impl.slicewise(_softmax_and_log_z, logits)
        else:
            picked = mesh_impl.allreduce(picked, [axis], "SUM")
            self.softmax, self.log_z = _split_softmax_and_log_z(mesh_impl, axis, logits)

        def loss(log_z, picked):
            return log_z - picked + (self.z_loss * tf.square(log_z) if self.z_loss else 0.0)

        lowering.set_tensor_lowering(self.outputs[0], mesh_impl.slicewise(loss, self.log_z, picked))


def _pick(logits, ids):
    """Returns the logits of the ids; 0 for negative ids, which other processors hold."""
    picked = tf.gather(logits, tf.maximum(ids, 0), batch_dims=ids.shape.ndims)
    return tf.where(ids >= 0, picked, tf.zeros_like(picked))


def _softmax_and_log_z(logits):
    """Returns the softmax, and log(sum(exp(logits))) computed from it.

    On a CPU the softmax is oneDNN's, which takes a third of the time of a sum of exponentials and
    an eighth of that of TensorFlow's sparse cross entropy. The largest probability is at least
    1 / vocabulary, so that its logarithm is accurate.
    """
    softmax = tf.nn.softmax(logits)
    return softmax, tf.reduce_max(logits, -1) - tf.log(tf.reduce_max(softmax, -1))


def _log_z(logits):
    """Returns log(sum(exp(logits))), with the softmax of some rows at a time in memory."""
    rows = tf.reshape(logits, [-1, logits.shape[-1]])
    starts = range(0, rows.shape[0], _ROWS_AT_A_TIME)
    parts = [_softmax_and_log_z(rows[start : start + _ROWS_AT_A_TIME])[1] for start in starts]
    return tf.reshape(tf.concat(parts, 0), logits.shape[:-1])


def _split_softmax_and_log_z(mesh_impl, axis, logits):
    """Returns both where each processor has a part of the vocabulary."""

    def over_parts(fn, reduction, *values):
        return mesh_impl.allreduce(mesh_impl.slicewise(fn, *values), [axis], reduction)

    top = over_parts(lambda x: tf.reduce_max(x, -1), "MAX", logits)
    total = over_parts(
        lambda x, top: tf.reduce_sum(tf.exp(x - top[..., tf.newaxis]), -1), "SUM", logits, top
    )
    log_z = mesh_impl.slicewise(lambda top, total: top + tf.log(total), top, total)
    softmax = mesh_impl.slicewise(
        lambda x, log_z: tf.exp(x - log_z[..., tf.newaxis]), logits, log_z
    )
    return softmax, log_z


class CrossEntropyGradient(mtf.Operation):
    """The gradient of the logits: grad * ((1 + 2 z_loss log(z)) * softmax - one_hot).

    Args:
        forward: the operation that is differentiated.
        grad: the gradient of its output.
        name: the name of the operation.
    """

    def __init__(
        self, forward: CrossEntropy, grad: mtf.Tensor, name: str = "cross_entropy_gradient"
    ) -> None:
        super().__init__([*forward.inputs, *forward.outputs, grad], name=name)
        self._forward = forward
        logits = forward.inputs[0]
        self._outputs = [mtf.Tensor(self, logits.shape, logits.dtype)]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Builds the TensorFlow operations."""
        mesh_impl = lowering.mesh_impl(self)
        grad = lowering.tensors[self.inputs[-1]]
        local = local_ids(lowering, self.inputs[1], self._forward.vocab_dim)
        factor = 2 * self._forward.z_loss

        def gradient(softmax, log_z, ids, grad):
            scaled = softmax * (grad * (1 + factor * log_z))[..., tf.newaxis]
            flat = tf.reshape(scaled, [-1, scaled.shape[-1]])
            ids, grad = tf.reshape(ids, [-1]), tf.reshape(grad, [-1])
            grad = tf.where(ids >= 0, grad, tf.zeros_like(grad))
            places = tf.stack([tf.range(tf.size(ids)), tf.maximum(ids, 0)], -1)
            return tf.reshape(tf.tensor_scatter_nd_sub(flat, places, grad), scaled.shape)

        forward = self._forward
        value = mesh_impl.slicewise(gradient, forward.softmax, forward.log_z, local, grad)
        lowering.set_tensor_lowering(self.outputs[0], value)
