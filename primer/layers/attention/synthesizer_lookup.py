"""Rows of a table by integer index, as one Mesh-TensorFlow operation.

`mtf.gather` multiplies by a one-hot matrix, which for the Synthesizer's tables of `[positions,
heads, positions]` costs several times what attention itself does. Here each processor copies the
rows that it needs:

    y[shared..., own..., rest...] = table[shared..., index[shared..., own...], rest...]

Dimensions are told apart by name: those that table and index share, those of the index alone, and
the rest of the table's. All but the one that is looked up may be split over the mesh.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def lookup(table, index, dim):
    """Looks up `index` along `dim` of a table.

    Args:
        table: a floating-point Tensor `[..., dim, ...]`.
        index: an int32 Tensor, from 0 to dim.size - 1.
        dim: the Dimension of the table that is looked up; the index must not have it.

    Returns:
        a Tensor of the index's dimensions, then those of the table that are left.

    Raises:
        ValueError: the table lacks `dim`, the index has it, or (when lowered) the mesh splits it.
    """
    if dim not in table.shape.dims or dim in index.shape.dims:
        raise ValueError(f"cannot look up {dim} of a table {table.shape} by index {index.shape}")
    return LookupOperation(table, index, dim).outputs[0]


class _Roles:
    """Which dimensions of table and index are shared, the index's own, and the rest."""

    def __init__(self, table_shape, index_shape, dim):
        self.dim = dim
        self.table_dims, self.index_dims = table_shape.dims, index_shape.dims
        self.shared = [d for d in self.index_dims if d in self.table_dims]
        self.own = [d for d in self.index_dims if d not in self.table_dims]
        self.rest = [d for d in self.table_dims if d != dim and d not in self.shared]
        self.output_shape = mtf.Shape(
            self.index_dims + [d for d in self.table_dims if d in self.rest]
        )

    def check_layout(self, mesh_impl):
        if mesh_impl.tensor_dimension_to_mesh_axis(self.dim) is not None:
            raise ValueError(
                f"a layout rule splits {self.dim.name}, the positions of a learned table, over the "
                "mesh; take the rule out, and split heads or batch"
            )

    def index_first(self, piece):
        """A slice of the index as `[shared..., own...]`."""
        return _permute(piece, self.index_dims, self.shared + self.own)


class LookupOperation(mtf.Operation):
    """y from the table and the index; see `lookup`."""

    def __init__(self, table, index, dim, name="lookup"):
        super().__init__([table, index], name=name)
        self._roles = _Roles(table.shape, index.shape, dim)
        self._outputs = [mtf.Tensor(self, self._roles.output_shape, table.dtype)]

    def gradient(self, grad_ys):
        table, index = self.inputs
        grad = LookupGradOperation(table.shape, index, grad_ys[0], self._roles.dim)
        return [grad.outputs[0], None]

    def lower(self, lowering):
        roles, mesh_impl = self._roles, lowering.mesh_impl(self)
        roles.check_layout(mesh_impl)
        num_shared = len(roles.shared)
        order = roles.shared + [roles.dim] + roles.rest

        def run(table, index):
            rows = tf.gather(
                _permute(table, roles.table_dims, order),
                roles.index_first(index),
                axis=num_shared,
                batch_dims=num_shared,
            )
            old = roles.shared + roles.own + roles.rest
            return _permute(rows, old, roles.output_shape.dims)

        slices = [lowering.tensors[t] for t in self.inputs]
        lowering.set_tensor_lowering(self.outputs[0], mesh_impl.slicewise(run, *slices))


class LookupGradOperation(mtf.Operation):
    """The gradient of the table: d y summed, in float32, where the index says."""

    def __init__(self, table_shape, index, dy, dim, name="lookup_grad"):
        super().__init__([index, dy], name=name)
        self._roles = _Roles(table_shape, index.shape, dim)
        self._outputs = [mtf.Tensor(self, table_shape, dy.dtype)]

    def lower(self, lowering):
        mesh_impl = lowering.mesh_impl(self)
        self._roles.check_layout(mesh_impl)

        def run(index, dy):
            return self._summed_rows(mesh_impl, index, dy)

        slices = [lowering.tensors[t] for t in self.inputs]
        sums = mesh_impl.slicewise(run, *slices)
        lowering.set_tensor_lowering(self.outputs[0], self._over_mesh(lowering, sums))

    def _summed_rows(self, mesh_impl, index, dy):
        """One processor's part: `[shared..., dim, rest...]` in the order of the table."""
        roles = self._roles
        order = roles.shared + [roles.dim] + roles.rest
        size = dict(zip(roles.table_dims, mesh_impl.slice_shape(self.outputs[0].shape)))
        groups = mtf.list_product(size[d] for d in roles.shared)
        width = mtf.list_product(size[d] for d in roles.rest)
        dy = _permute(dy, roles.output_shape.dims, roles.shared + roles.own + roles.rest)
        # One table after the other in a single list of rows.
        starts = tf.range(groups)[:, tf.newaxis] * roles.dim.size
        index = tf.reshape(roles.index_first(index), [groups, -1]) + starts
        sums = tf.math.unsorted_segment_sum(
            tf.reshape(tf.cast(dy, tf.float32), [-1, width]),
            tf.reshape(index, [-1]),
            groups * roles.dim.size,
        )
        sums = tf.reshape(tf.cast(sums, dy.dtype), [size[d] for d in order])
        return _permute(sums, order, roles.table_dims)

    def _over_mesh(self, lowering, laid_out):
        """Sums over the processors that hold other parts of the index."""
        mesh_impl, output = lowering.mesh_impl(self), self.outputs[0]
        axes = [mesh_impl.tensor_dimension_to_mesh_axis(d) for d in self._roles.own]
        axes = [axis for axis in axes if axis is not None]
        if not axes:
            return laid_out

        def count():
            lowering.add_counter(f"allreduce/{axes}/lookup_op", lowering.laid_out_size(output))

        return mtf.LazyAllreduceSum(mesh_impl, laid_out, axes, add_counter_fn=count)


def _permute(piece, old_dims, new_dims):
    return tf.transpose(piece, [old_dims.index(d) for d in new_dims])
