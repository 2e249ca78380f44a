"""Looks up rows of a table by integer index, as one Mesh-TensorFlow operation.

`mtf.gather` multiplies by a one-hot matrix, which for the Synthesizer's tables
(https://arxiv.org/abs/2005.00743) `[query_position, heads, memory_position]` costs several times
what attention itself does. Here each processor copies the rows that it needs:

    y[shared..., own..., rest...] = table[shared..., index[shared..., own...], rest...]

Dimensions are matched by name: those that table and index share, those of the index alone, and the
rest of the table's. The mesh may split all of them except the dimension that is looked up.
"""

from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers import mesh_layout


def lookup(table: mtf.Tensor, index: mtf.Tensor, dim: mtf.Dimension) -> mtf.Tensor:
    """Looks up `index` along `dim` of a table.

    Args:
        table: a floating-point Tensor `[..., dim, ...]`.
        index: an int32 Tensor with values from 0 to dim.size - 1.
        dim: the Dimension of the table that is looked up; the index must not have it.

    Returns:
        A Tensor of the index's dimensions, then the table's other dimensions.

    Raises:
        ValueError: the table lacks `dim`, the index has it, or (when lowered) the mesh splits it.
    """
    if dim not in table.shape.dims or dim in index.shape.dims:
        raise ValueError(
            f"cannot look up {dim} of a table {table.shape} by index {index.shape}: expected a "
            "dimension of the table that the index lacks"
        )
    return LookupOperation(table, index, dim).outputs[0]


class _Roles:
    """The roles of the dimensions of table and index: shared, the index's own, and the rest."""

    def __init__(self, table_shape: mtf.Shape, index_shape: mtf.Shape, dim: mtf.Dimension) -> None:
        self.dim = dim
        self.table_dims, self.index_dims = table_shape.dims, index_shape.dims
        self.shared = [d for d in self.index_dims if d in self.table_dims]
        self.own = [d for d in self.index_dims if d not in self.table_dims]
        self.rest = [d for d in self.table_dims if d != dim and d not in self.shared]
        self.output_shape = mtf.Shape(
            self.index_dims + [d for d in self.table_dims if d in self.rest]
        )  # [shared and own..., rest...]

    def check_layout(self, mesh_impl: mtf.MeshImpl) -> None:
        """Raises a ValueError if the mesh splits the dimension that is looked up."""
        if mesh_impl.tensor_dimension_to_mesh_axis(self.dim) is not None:
            raise ValueError(
                f"a layout rule splits {self.dim.name}, the positions of a learned table, over the "
                "mesh: expected a whole dimension; remove the rule, and split heads or batch"
            )

    def index_first(self, piece: tf.Tensor) -> tf.Tensor:
        """Transposes a slice of the index to `[shared..., own...]`."""
        return _permute(piece, self.index_dims, self.shared + self.own)


class LookupOperation(mtf.Operation):
    """Computes y from the table and the index; see `lookup`."""

    def __init__(
        self, table: mtf.Tensor, index: mtf.Tensor, dim: mtf.Dimension, name: str = "lookup"
    ) -> None:
        """Makes the operation; arguments as for `lookup`."""
        super().__init__([table, index], name=name)
        self._roles = _Roles(table.shape, index.shape, dim)
        self._outputs = [mtf.Tensor(self, self._roles.output_shape, table.dtype)]

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor | None]:
        """Returns the gradient of the table; the index has none."""
        table, index = self.inputs
        grad = LookupGradOperation(table.shape, index, grad_ys[0], self._roles.dim)
        return [grad.outputs[0], None]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Copies on each processor the rows that its slice of the index names."""
        roles, mesh_impl = self._roles, lowering.mesh_impl(self)
        roles.check_layout(mesh_impl)
        num_shared = len(roles.shared)
        order = roles.shared + [roles.dim] + roles.rest

        def run(table: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
            rows = tf.gather(
                _permute(table, roles.table_dims, order),
                roles.index_first(index),
                axis=num_shared,
                batch_dims=num_shared,
            )  # [shared..., own..., rest...]
            old = roles.shared + roles.own + roles.rest
            return _permute(rows, old, roles.output_shape.dims)

        slices = [lowering.tensors[t] for t in self.inputs]
        lowering.set_tensor_lowering(self.outputs[0], mesh_impl.slicewise(run, *slices))


class LookupGradOperation(mtf.Operation):
    """Computes the gradient of the table: dy, summed in float32 over equal indices."""

    def __init__(
        self,
        table_shape: mtf.Shape,
        index: mtf.Tensor,
        dy: mtf.Tensor,
        dim: mtf.Dimension,
        name: str = "lookup_grad",
    ) -> None:
        """Makes the operation.

        Args:
            table_shape: the table's Shape.
            index: the index of the lookup.
            dy: the gradient of its result.
            dim: the Dimension that was looked up.
            name: the operation's name.
        """
        super().__init__([index, dy], name=name)
        self._roles = _Roles(table_shape, index.shape, dim)
        self._outputs = [mtf.Tensor(self, table_shape, dy.dtype)]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Sums on each processor, then over the processors that hold other parts of the index."""
        mesh_impl = lowering.mesh_impl(self)
        self._roles.check_layout(mesh_impl)

        def run(index: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
            return self._sum_rows(mesh_impl, index, dy)

        slices = [lowering.tensors[t] for t in self.inputs]
        sums = mesh_layout.sum_over_axes(
            lowering,
            mesh_impl,
            mesh_impl.slicewise(run, *slices),
            mesh_layout.split_axes(mesh_impl, self._roles.own),
            self.outputs[0],
            "lookup_op",
        )
        lowering.set_tensor_lowering(self.outputs[0], sums)

    def _sum_rows(self, mesh_impl: mtf.MeshImpl, index: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        """Returns one processor's sums, with the dimensions of the table in its order."""
        roles = self._roles
        order = roles.shared + [roles.dim] + roles.rest
        size = dict(zip(roles.table_dims, mesh_impl.slice_shape(self.outputs[0].shape)))
        groups = mtf.list_product(size[d] for d in roles.shared)
        width = mtf.list_product(size[d] for d in roles.rest)
        # [shared..., own..., rest...]
        dy = _permute(dy, roles.output_shape.dims, roles.shared + roles.own + roles.rest)
        # The rows of all `groups` tables form one list: table g starts at row g * dim.size.
        starts = tf.range(groups)[:, tf.newaxis] * roles.dim.size  # [shared, 1]
        index = tf.reshape(roles.index_first(index), [groups, -1]) + starts  # [shared, own]
        sums = tf.math.unsorted_segment_sum(
            tf.reshape(tf.cast(dy, tf.float32), [-1, width]),
            tf.reshape(index, [-1]),
            groups * roles.dim.size,
        )  # [shared * dim, rest]
        # [shared..., dim, rest...]
        sums = tf.reshape(tf.cast(sums, dy.dtype), [size[d] for d in order])
        return _permute(sums, order, roles.table_dims)


def _permute(piece: Any, old_dims: list[mtf.Dimension], new_dims: list[mtf.Dimension]) -> tf.Tensor:
    """Transposes a slice with dimensions `old_dims` to the order of `new_dims`."""
    return tf.transpose(piece, [old_dims.index(d) for d in new_dims])
