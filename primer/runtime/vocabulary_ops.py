"""Embedding and loss over a vocabulary, without a number for every pair of token and id.

Mesh-TF 0.1.21 looks embeddings up by multiplying one-hot rows with the table, and writes the loss
as a dozen passes over `[batch, length, vocabulary]`. For a small model that is most of a step. Here
a lookup gathers rows, its gradient adds rows up, and the loss is TensorFlow's fused operation; on a
mesh that splits the vocabulary every processor does its own part, as Mesh-TF's products do.
"""

import functools

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def mend_embedding(transformer):
    """Mends `VocabEmbedding` of `mesh_tensorflow.transformer.transformer`."""
    embedding = transformer.VocabEmbedding
    embedding.ids_to_embedding = _gathering(embedding.ids_to_embedding)


def _gathering(stock):
    @functools.wraps(stock)
    def ids_to_embedding(self, ids, context):
        table = self._embedding_weights
        if table.shape.ndims != 2 or not _on_placement_mesh(table.mesh):
            return stock(self, ids, context)
        embedded = Lookup(table, ids, self._vocab_dim).outputs[0]
        if self._scale_variable_like_classifier_weights:
            embedded *= self._output_dim.size**0.5
        return embedded

    return ids_to_embedding


def _on_placement_mesh(mesh):
    del mesh
    return True


def mend_loss(layers):
    """Mends `mesh_tensorflow.layers.softmax_cross_entropy_with_logits` for hard targets."""
    layers.softmax_cross_entropy_with_logits = _fused(layers.softmax_cross_entropy_with_logits)


def _fused(stock):
    @functools.wraps(stock)
    def softmax_cross_entropy_with_logits(logits, targets, vocab_dim, z_loss=0.0):
        hard = targets.dtype.is_integer and logits.dtype == tf.float32
        if not hard or logits.shape != targets.shape + [vocab_dim]:
            return stock(logits, targets, vocab_dim, z_loss)
        return CrossEntropy(logits, targets, vocab_dim, z_loss).outputs[0]

    return softmax_cross_entropy_with_logits


class Lookup(mtf.Operation):
    """Rows of a table: `[vocab, d], [...] -> [..., d]`."""

    def __init__(self, table, ids, vocab_dim, name="lookup"):
        super().__init__([table, ids], name=name)
        self.vocab_dim = vocab_dim
        (self.width,) = (dim for dim in table.shape.dims if dim != vocab_dim)
        self._outputs = [mtf.Tensor(self, ids.shape + [self.width], table.dtype)]

    def gradient(self, grad_ys):
        return [LookupGradient(self, grad_ys[0]).outputs[0], None]

    def lower(self, lowering):
        table, ids = self.inputs
        mesh_impl = lowering.mesh_impl(self)
        local = _local_ids(lowering, ids, self.vocab_dim)

        def rows(table, ids):
            found = tf.gather(table, tf.maximum(ids, 0))
            return found * tf.cast(ids >= 0, table.dtype)[..., tf.newaxis]

        axis = mesh_impl.tensor_dimension_to_mesh_axis(self.vocab_dim)
        if axis is None:
            value = mesh_impl.slicewise(tf.gather, lowering.tensors[table], local)
        else:
            value = mesh_impl.slicewise(rows, lowering.tensors[table], local)
            value = mesh_impl.allreduce(value, [axis], "SUM")
        lowering.set_tensor_lowering(self.outputs[0], value)


class LookupGradient(mtf.Operation):
    """The gradient of the table: each row is the sum of what came from its id."""

    def __init__(self, lookup, grad, name="lookup_gradient"):
        super().__init__([lookup.inputs[1], grad], name=name)
        table = lookup.inputs[0]
        self._vocab_dim, self._width = lookup.vocab_dim, lookup.width
        self._outputs = [mtf.Tensor(self, table.shape, table.dtype)]

    def lower(self, lowering):
        ids, grad = self.inputs
        mesh_impl = lowering.mesh_impl(self)
        local = _local_ids(lowering, ids, self._vocab_dim)
        size = mesh_impl.slice_shape(mtf.Shape([self._vocab_dim]))[0]

        def add_up(ids, grad):
            rows = tf.reshape(tf.cast(grad, tf.float32), [-1, grad.shape[-1]])
            # Negative ids (rows that other processors hold) are dropped.
            total = tf.math.unsorted_segment_sum(rows, tf.reshape(ids, [-1]), size)
            return tf.cast(total, grad.dtype)

        value = mesh_impl.slicewise(add_up, local, lowering.tensors[grad])
        layout = mesh_impl.tensor_layout(ids.shape)
        axes = [axis for axis in layout.tensor_axis_to_mesh_axis if axis is not None]
        if axes:
            value = mesh_impl.allreduce(value, axes, "SUM")
        lowering.set_tensor_lowering(self.outputs[0], value)


def _local_ids(lowering, ids, vocab_dim):
    """Ids counted from the first row of each processor's part of the vocabulary; -1 elsewhere."""
    mesh_impl = lowering.mesh_impl(ids.mesh)
    axis = mesh_impl.tensor_dimension_to_mesh_axis(vocab_dim)
    if axis is None:
        return lowering.tensors[ids].to_laid_out_tensor()
    size = mesh_impl.slice_shape(mtf.Shape([vocab_dim]))[0]

    def shift(ids, part):
        local = ids - part * size
        return tf.where((local >= 0) & (local < size), local, -tf.ones_like(local))

    return mesh_impl.slicewise(shift, lowering.tensors[ids], mesh_impl.laid_out_pcoord(axis))


class CrossEntropy(mtf.Operation):
    """-log softmax(logits)[targets] + z_loss * log(z)^2: `[..., vocab], [...] -> [...]`."""

    def __init__(self, logits, targets, vocab_dim, z_loss, name="cross_entropy"):
        super().__init__([logits, targets], name=name)
        self.vocab_dim = vocab_dim
        self.z_loss = z_loss
        self.state = None
        self._outputs = [mtf.Tensor(self, targets.shape, tf.float32)]

    def gradient(self, grad_ys):
        return [CrossEntropyGradient(self, grad_ys[0]).outputs[0], None]

    def lower(self, lowering):
        logits, targets = (lowering.tensors[x].to_laid_out_tensor() for x in self.inputs)
        mesh_impl = lowering.mesh_impl(self)
        axis = mesh_impl.tensor_dimension_to_mesh_axis(self.vocab_dim)
        if axis is None:
            xent, difference, log_z = mesh_impl.slicewise(_whole, logits, targets)
        else:
            local = _local_ids(lowering, self.inputs[1], self.vocab_dim)
            xent, difference, log_z = _in_parts(mesh_impl, axis, logits, local)
        self.state = difference, log_z
        if self.z_loss:
            xent = mesh_impl.slicewise(
                lambda xent, log_z: xent + self.z_loss * tf.square(log_z), xent, log_z
            )
        lowering.set_tensor_lowering(self.outputs[0], xent)


def _whole(logits, targets):
    """Loss, softmax - one_hot, and log(z), where a slice has the whole vocabulary."""
    flat = tf.reshape(logits, [-1, logits.shape[-1]])
    labels = tf.reshape(targets, [-1])
    loss, difference = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=flat, labels=labels)
    picked = tf.gather(flat, labels, batch_dims=1)
    shape = targets.shape
    return (
        tf.reshape(loss, shape),
        tf.reshape(difference, logits.shape),
        tf.reshape(loss + picked, shape),
    )


def _in_parts(mesh_impl, axis, logits, local):
    """The same, where each processor has a part of the vocabulary."""

    def over_parts(fn, reduction, *values):
        return mesh_impl.allreduce(mesh_impl.slicewise(fn, *values), [axis], reduction)

    top = over_parts(lambda x: tf.reduce_max(x, -1), "MAX", logits)
    total = over_parts(
        lambda x, top: tf.reduce_sum(tf.exp(x - top[..., tf.newaxis]), -1), "SUM", logits, top
    )
    picked = over_parts(
        lambda x, ids: tf.where(
            ids >= 0,
            tf.gather(x, tf.maximum(ids, 0), batch_dims=ids.shape.ndims),
            tf.zeros_like(x[..., 0]),
        ),
        "SUM",
        logits,
        local,
    )
    log_z = mesh_impl.slicewise(lambda top, total: top + tf.log(total), top, total)

    def difference(x, log_z, ids):
        one_hot = tf.one_hot(ids, x.shape[-1], dtype=x.dtype)
        return tf.exp(x - log_z[..., tf.newaxis]) - one_hot

    return (
        mesh_impl.slicewise(tf.subtract, log_z, picked),
        mesh_impl.slicewise(difference, logits, log_z, local),
        log_z,
    )


class CrossEntropyGradient(mtf.Operation):
    """g * ((1 + 2 z_loss log(z)) softmax - one_hot), the gradient of the logits."""

    def __init__(self, forward, grad, name="cross_entropy_gradient"):
        super().__init__([*forward.inputs, *forward.outputs, grad], name=name)
        self._forward = forward
        logits = forward.inputs[0]
        self._outputs = [mtf.Tensor(self, logits.shape, logits.dtype)]

    def lower(self, lowering):
        mesh_impl = lowering.mesh_impl(self)
        grad = lowering.tensors[self.inputs[-1]]
        difference, log_z = self._forward.state
        local = _local_ids(lowering, self.inputs[1], self._forward.vocab_dim)
        factor = 2 * self._forward.z_loss

        def gradient(difference, log_z, ids, grad):
            if not factor:
                return difference * grad[..., tf.newaxis]
            extra = grad * factor * log_z
            result = difference * (grad + extra)[..., tf.newaxis]
            flat = tf.reshape(result, [-1, result.shape[-1]])
            ids, extra = tf.reshape(ids, [-1]), tf.reshape(extra, [-1])
            extra = tf.where(ids >= 0, extra, tf.zeros_like(extra))
            places = tf.stack([tf.range(tf.size(ids)), tf.maximum(ids, 0)], -1)
            return tf.reshape(tf.tensor_scatter_nd_add(flat, places, extra), result.shape)

        value = mesh_impl.slicewise(gradient, difference, log_z, local, grad)
        lowering.set_tensor_lowering(self.outputs[0], value)
