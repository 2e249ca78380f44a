"""Lookup in an embedding table: gathers rows, and adds up their gradients.

Mesh-TF 0.1.21 multiplies one-hot rows by the table. A TPU keeps that form: products of matrices are
what it is fast at. On a mesh that splits the vocabulary every processor gathers the rows of its own
part, and one allreduce adds the parts.
"""

import functools
from types import ModuleType
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import build_mode


def patch(transformer: ModuleType) -> None:
    """Replaces the lookup of `VocabEmbedding` in `mesh_tensorflow.transformer.transformer`."""
    embedding = transformer.VocabEmbedding
    embedding.ids_to_embedding = _gathering_lookup(embedding.ids_to_embedding)


def _gathering_lookup(stock):
    @functools.wraps(stock)
    def ids_to_embedding(self, ids, context):
        table = self._embedding_weights
        # An ensemble's table has a third dimension.
        if build_mode.for_tpu() or table.shape.ndims != 2:
            return stock(self, ids, context)
        embedded = Lookup(table, ids, self._vocab_dim).outputs[0]
        if self._scale_variable_like_classifier_weights:
            embedded *= self._output_dim.size**0.5
        return embedded

    return ids_to_embedding


class Lookup(mtf.Operation):
    """Rows of a table: `[vocab, d], [...] -> [..., d]`; zeros for ids that the table lacks.

    Args:
        table: `[vocab, d]`, in any order.
        ids: integers, `[...]`.
        vocab_dim: the dimension of the vocabulary.
        name: the name of the operation.
    """

    def __init__(
        self, table: mtf.Tensor, ids: mtf.Tensor, vocab_dim: mtf.Dimension, name: str = "lookup"
    ) -> None:
        super().__init__([table, ids], name=name)
        self.vocab_dim = vocab_dim
        (self.width,) = (dim for dim in table.shape.dims if dim != vocab_dim)
        self._outputs = [mtf.Tensor(self, ids.shape + [self.width], table.dtype)]

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor | None]:
        """Returns the gradient of the table; ids have none."""
        return [LookupGradient(self, grad_ys[0]).outputs[0], None]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Builds the TensorFlow operations."""
        table, ids = self.inputs
        mesh_impl = lowering.mesh_impl(self)
        local = local_ids(lowering, ids, self.vocab_dim)
        value = mesh_impl.slicewise(_rows, lowering.tensors[table], local)
        axis = mesh_impl.tensor_dimension_to_mesh_axis(self.vocab_dim)
        if axis is not None:
            value = mesh_impl.allreduce(value, [axis], "SUM")
        lowering.set_tensor_lowering(self.outputs[0], value)


def _rows(table, ids):
    """Returns rows of a part of a table; zeros for negative ids, which it does not hold."""
    rows = tf.gather(table, tf.maximum(ids, 0))
    return rows * tf.cast(ids >= 0, table.dtype)[..., tf.newaxis]


class LookupGradient(mtf.Operation):
    """The gradient of the table: each row is the sum of the gradients at the places of its id.

    Args:
        lookup: the operation that is differentiated.
        grad: the gradient of its output.
        name: the name of the operation.
    """

    def __init__(self, lookup: Lookup, grad: mtf.Tensor, name: str = "lookup_gradient") -> None:
        super().__init__([lookup.inputs[1], grad], name=name)
        table = lookup.inputs[0]
        self._vocab_dim, self._width = lookup.vocab_dim, lookup.width
        self._outputs = [mtf.Tensor(self, table.shape, table.dtype)]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Builds the TensorFlow operations."""
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


def local_ids(lowering: mtf.Lowering, ids: mtf.Tensor, vocab_dim: mtf.Dimension) -> Any:
    """Returns ids counted from the first row of each processor's part of the vocabulary.

    An id is -1 where another processor, or none, has the row: a one-hot row of such an id is zeros.

    Returns:
        A LaidOutTensor of the mesh implementation.
    """
    mesh_impl = lowering.mesh_impl(ids.mesh)
    axis = mesh_impl.tensor_dimension_to_mesh_axis(vocab_dim)
    size = mesh_impl.slice_shape(mtf.Shape([vocab_dim]))[0]

    def shift(ids, part=0):
        local = ids - part * size
        return tf.where((local >= 0) & (local < size), local, -tf.ones_like(local))

    parts = () if axis is None else (mesh_impl.laid_out_pcoord(axis),)
    return mesh_impl.slicewise(shift, lowering.tensors[ids], *parts)
