"""Lookup in an embedding table: rows are gathered, and their gradients added up.

Mesh-TF 0.1.21 multiplies a one-hot row with the table. A TPU keeps that form, because it is made
for products. On a mesh that splits the vocabulary every processor looks up what its own part holds,
and one sum over the mesh brings the rows together.
"""

import functools

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import build_mode


def patch(transformer):
    """Lets `VocabEmbedding` of `mesh_tensorflow.transformer.transformer` gather."""
    embedding = transformer.VocabEmbedding
    embedding.ids_to_embedding = _gathering(embedding.ids_to_embedding)


def _gathering(stock):
    @functools.wraps(stock)
    def ids_to_embedding(self, ids, context):
        table = self._embedding_weights
        # An ensemble has a table for each of its models.
        if build_mode.for_tpu() or table.shape.ndims != 2:
            return stock(self, ids, context)
        embedded = Lookup(table, ids, self._vocab_dim).outputs[0]
        if self._scale_variable_like_classifier_weights:
            embedded *= self._output_dim.size**0.5
        return embedded

    return ids_to_embedding


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
        local = local_ids(lowering, ids, self.vocab_dim)
        value = mesh_impl.slicewise(_rows, lowering.tensors[table], local)
        axis = mesh_impl.tensor_dimension_to_mesh_axis(self.vocab_dim)
        if axis is not None:
            value = mesh_impl.allreduce(value, [axis], "SUM")
        lowering.set_tensor_lowering(self.outputs[0], value)


def _rows(table, ids):
    """Rows of a part of a table; zeros for negative ids, which it does not hold."""
    found = tf.gather(table, tf.maximum(ids, 0))
    return found * tf.cast(ids >= 0, table.dtype)[..., tf.newaxis]


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
        local = local_ids(lowering, ids, self._vocab_dim)
        size = mesh_impl.slice_shape(mtf.Shape([self._vocab_dim]))[0]

        def add_up(ids, grad):
            rows = tf.reshape(tf.cast(grad, tf.float32), [-1, grad.shape[-1]])
            # unsorted_segment_sum drops negative ids.
            total = tf.math.unsorted_segment_sum(rows, tf.reshape(ids, [-1]), size)
            return tf.cast(total, grad.dtype)

        value = mesh_impl.slicewise(add_up, local, lowering.tensors[grad])
        layout = mesh_impl.tensor_layout(ids.shape)
        axes = [axis for axis in layout.tensor_axis_to_mesh_axis if axis is not None]
        if axes:
            value = mesh_impl.allreduce(value, axes, "SUM")
        lowering.set_tensor_lowering(self.outputs[0], value)


def local_ids(lowering, ids, vocab_dim):
    """Ids counted from the first row of each processor's part of the vocabulary.

    -1 where another processor, or none, has the row: a one-hot row of such an id is zeros.
    """
    mesh_impl = lowering.mesh_impl(ids.mesh)
    axis = mesh_impl.tensor_dimension_to_mesh_axis(vocab_dim)
    size = mesh_impl.slice_shape(mtf.Shape([vocab_dim]))[0]

    def shift(ids, part=0):
        local = ids - part * size
        return tf.where((local >= 0) & (local < size), local, -tf.ones_like(local))

    parts = () if axis is None else (mesh_impl.laid_out_pcoord(axis),)
    return mesh_impl.slicewise(shift, lowering.tensors[ids], *parts)
