"""The logits of one cluster of words at the positions whose target is in the cluster, and no other.

Of W words with table E and bias b, at each position with an id:

    log_z  = log(sum over w of exp(h . E[w] + b[w])),     picked = h . E[id] + b[id]

and 0 for both at positions without one. The loss of the word in its cluster is log_z - picked.

The operation gathers the positions first, so that a cluster of rare words costs what its own tokens
cost; their number is not bounded, and none is left out. It changes from batch to batch, which a TPU
cannot do. The first cluster's words compete with the clusters at all positions, and none is left
out there. Logits are float32 from the bias on. On a mesh that splits the vocabulary every processor
computes its own part, as in `primer.runtime.ops.cross_entropy`.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers import mesh_layout

# The logit of a row that only pads a table: its probability is 0 in float32.
MASKED = -1e9


def log_z_and_picked(
    hidden: mtf.Tensor,
    table: mtf.Tensor,
    bias: mtf.Tensor,
    ids: mtf.Tensor,
    used: int,
    is_gathered: bool = True,
) -> list[mtf.Tensor]:
    """Returns log_z and picked, float32 of the shape of ids.

    Args:
        hidden: `[..., width]`.
        table: `[vocab, width]` or `[width, vocab]`.
        bias: `[vocab]`.
        ids: int32 `[...]`, rows of the table; -1 where the target is in another cluster.
        used: the number of rows that are not padding.
        is_gathered: whether log_z is 0 where ids are -1, and costs nothing there.
    """
    # No mesh axis splits this name: a position's logits need the whole width.
    width = hidden.shape.dims[-1].name
    hidden, table = (mtf.rename_dimension(x, width, "cluster_width") for x in (hidden, table))
    hidden = mtf.transpose(hidden, ids.shape + hidden.shape.dims[-1:])
    return ClusterLogits(hidden, table, bias, ids, used, is_gathered).outputs


class ClusterLogits(mtf.Operation):
    """The operation of `log_z_and_picked`, whose arguments it has."""

    def __init__(
        self,
        hidden: mtf.Tensor,
        table: mtf.Tensor,
        bias: mtf.Tensor,
        ids: mtf.Tensor,
        used: int,
        is_gathered: bool,
        name: str = "cluster_logits",
    ) -> None:
        super().__init__([hidden, table, bias, ids], name=name)
        (self.vocab_dim,) = bias.shape.dims
        self.rows_first = table.shape.dims[0] == self.vocab_dim
        self._used, self._is_gathered = used, is_gathered
        # Set by `lower`, for the gradient.
        self.places = self.states = self.softmax = self.local = None
        self._outputs = [mtf.Tensor(self, ids.shape, tf.float32) for _ in range(2)]

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor | None]:
        """Returns the gradients of hidden states, table and bias; ids have none."""
        return [*ClusterLogitsGradient(self, grad_ys).outputs, None]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Builds the TensorFlow operations."""
        mesh_impl = lowering.mesh_impl(self)
        hidden, table, bias, ids = (lowering.tensors[x] for x in self.inputs)
        axis = mesh_impl.tensor_dimension_to_mesh_axis(self.vocab_dim)
        part = [] if axis is None else [mesh_impl.laid_out_pcoord(axis)]
        self.places, self.states, self.local, logits = mesh_impl.slicewise(
            self._logits, hidden, table, bias, ids, *part
        )
        picked = mesh_impl.slicewise(_pick, logits, self.local)
        if axis is None:
            self.softmax, log_z = mesh_impl.slicewise(_softmax_and_log_z, logits)
        else:
            picked = mesh_impl.allreduce(picked, [axis], "SUM")
            self.softmax, log_z = _split_softmax_and_log_z(mesh_impl, axis, logits)
        for output, value in zip(self.outputs, (log_z, picked), strict=True):
            everywhere = mesh_impl.slicewise(_scatter, value, self.places, ids)
            lowering.set_tensor_lowering(output, everywhere)

    def _logits(self, hidden, table, bias, ids, part=0):
        """Returns the positions, their states, their ids in this part of the table, and logits."""
        (size,) = bias.shape.as_list()
        ids = tf.reshape(ids, [-1])
        places = tf.where(ids >= 0)[:, 0] if self._is_gathered else tf.range(tf.size(ids))
        states = tf.reshape(hidden, [-1, hidden.shape[-1]])
        local = ids - part * size
        local = tf.where((ids >= 0) & (local >= 0) & (local < size), local, -tf.ones_like(local))
        if self._is_gathered:
            states, local = tf.gather(states, places), tf.gather(local, places)
        logits = tf.matmul(states, table, transpose_b=self.rows_first)
        padding = tf.range(size) + part * size >= self._used
        masked = tf.cast(bias, tf.float32) + MASKED * tf.cast(padding, tf.float32)
        return places, states, local, tf.cast(logits, tf.float32) + masked


class ClusterLogitsGradient(mtf.Operation):
    """The gradients of hidden states, table and bias.

    With g and p the gradients of log_z and picked, that of the logits is g * softmax + p * one_hot.

    Args:
        forward: the operation that is differentiated.
        grads: the gradients of its two outputs.
        name: the name of the operation.
    """

    def __init__(
        self,
        forward: ClusterLogits,
        grads: list[mtf.Tensor],
        name: str = "cluster_logits_gradient",
    ) -> None:
        super().__init__([*forward.inputs, *forward.outputs, *grads], name=name)
        self._forward = forward
        self._outputs = [mtf.Tensor(self, x.shape, x.dtype) for x in forward.inputs[:3]]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Builds the TensorFlow operations."""
        mesh_impl = lowering.mesh_impl(self)
        forward = self._forward
        hidden, table, bias, ids = (lowering.tensors[x] for x in self.inputs[:4])
        grads = [lowering.tensors[x] for x in self.inputs[-2:]]

        def of_logits(places, softmax, local, log_z, picked):
            log_z, picked = (tf.gather(tf.reshape(x, [-1]), places) for x in (log_z, picked))
            picked = tf.where(local >= 0, picked, tf.zeros_like(picked))
            index = tf.stack([tf.range(tf.size(local)), tf.maximum(local, 0)], -1)
            return tf.tensor_scatter_nd_add(softmax * log_z[:, tf.newaxis], index, picked)

        def of_hidden(logits, places, table, hidden):
            rows = tf.matmul(
                tf.cast(logits, table.dtype), table, transpose_b=not forward.rows_first
            )
            width = hidden.shape.as_list()[-1]
            shape = tf.cast([hidden.shape.num_elements() // width, width], places.dtype)
            full = tf.scatter_nd(places[:, tf.newaxis], rows, shape)
            return tf.reshape(full, hidden.shape)

        def of_table(logits, states):
            pair = (tf.cast(logits, states.dtype), states)
            return tf.matmul(*(pair if forward.rows_first else pair[::-1]), transpose_a=True)

        def of_bias(logits, bias):
            return tf.cast(tf.reduce_sum(logits, 0), bias.dtype)

        logits = mesh_impl.slicewise(
            of_logits, forward.places, forward.softmax, forward.local, *grads
        )
        values = (
            mesh_impl.slicewise(of_hidden, logits, forward.places, table, hidden),
            mesh_impl.slicewise(of_table, logits, forward.states),
            mesh_impl.slicewise(of_bias, logits, bias),
        )
        over_words = mesh_layout.split_axes(mesh_impl, [forward.vocab_dim])
        over_tokens = mesh_layout.split_axes(mesh_impl, self.inputs[3].shape.dims)
        all_axes = (over_words, over_tokens, over_tokens)
        for output, value, axes in zip(self.outputs, values, all_axes, strict=True):
            total = mesh_layout.sum_over_axes(
                lowering, mesh_impl, value, axes, output, "cluster_logits_gradient"
            )
            lowering.set_tensor_lowering(output, total)


def _pick(logits, ids):
    """Returns the logits of the ids; 0 for negative ids, which other processors hold."""
    picked = tf.gather(logits, tf.maximum(ids, 0), batch_dims=1)
    return tf.where(ids >= 0, picked, tf.zeros_like(picked))


def _softmax_and_log_z(logits):
    """Returns both; log_z from the largest probability, because softmax is fast on a CPU."""
    softmax = tf.nn.softmax(logits)
    return softmax, tf.reduce_max(logits, -1) - tf.log(tf.reduce_max(softmax, -1))


def _split_softmax_and_log_z(mesh_impl, axis, logits):
    """Returns both where each processor has a part of the words."""

    def over_parts(fn, reduction, *values):
        return mesh_impl.allreduce(mesh_impl.slicewise(fn, *values), [axis], reduction)

    top = over_parts(lambda x: tf.reduce_max(x, -1), "MAX", logits)
    total = over_parts(
        lambda x, top: tf.reduce_sum(tf.exp(x - top[:, tf.newaxis]), -1), "SUM", logits, top
    )
    log_z = mesh_impl.slicewise(lambda top, total: top + tf.log(total), top, total)
    softmax = mesh_impl.slicewise(lambda x, log_z: tf.exp(x - log_z[:, tf.newaxis]), logits, log_z)
    return softmax, log_z


def _scatter(values, places, ids):
    """Returns values at their places, and 0 elsewhere, in the shape of ids."""
    size = tf.cast([ids.shape.num_elements()], places.dtype)
    return tf.reshape(tf.scatter_nd(places[:, tf.newaxis], values, size), ids.shape)
