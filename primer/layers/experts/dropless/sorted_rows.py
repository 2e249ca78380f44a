"""Rows sorted by expert: one row for each expert that a token chose, and the way back.

    order = argsort of the choices' experts            [tokens..., choices] -> [rows]
    row_i = x of the token of choice order_i           [tokens..., d] -> [rows, d]
    y_t = sum over the choices c of t of  row at the place of c        [rows, d] -> [tokens..., d]

The number of rows is the number of choices, whatever their balance (MegaBlocks,
https://arxiv.org/abs/2211.15841, section 5). The last two are adjoint to each other: each is the
other's gradient, and both are gathers.

On a mesh every processor sorts the choices of its own tokens by its own experts; rows of experts of
other processors come last and count as nothing. Rows have the dimensions of the choices, after one
for each dimension of the experts with as many parts as the mesh makes of it, because their contents
differ between these parts: `[experts, tokens..., choices, d]`.
"""

import math
from collections.abc import Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers import mesh_layout
from primer.layers.experts import selected_dense


class SortOperation(mtf.Operation):
    """Sorts choices by expert; outputs are `order` and `expert`, int32 `[rows...]`.

    order: the number of the choice of each row, among those of the processor.
    expert: the number of the row's expert among those of the processor, in ascending order; their
        number stands for none.
    """

    def __init__(
        self,
        indices: Sequence[mtf.Tensor],
        experts_dims: Sequence[mtf.Dimension],
        model: Any,
        name: str = "sort_by_expert",
    ) -> None:
        """Makes the operation.

        Args:
            indices: int32 Tensors `[tokens..., choices...]`, one for each of experts_dims; -1
                stands for no expert.
            experts_dims: the Dimensions that number the experts.
            model: a Unitransformer, for its layout.
            name: the operation's name.
        """
        super().__init__(list(indices), name=name)
        self._experts_dims = list(experts_dims)
        parts = [mtf.Dimension(d.name, mesh_layout.num_splits(model, d)) for d in experts_dims]
        shape = mtf.Shape(parts + indices[0].shape.dims)
        self._outputs = [mtf.Tensor(self, shape, tf.int32, index=i) for i in range(2)]

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[None]:
        """Returns None for each of the indices: integers have no gradient."""
        return [None for _ in self.inputs]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Sorts on each processor."""
        mesh_impl = lowering.mesh_impl(self)
        selected_dense.check_layout(mesh_impl, self.inputs[0].shape, self._experts_dims)
        sizes = mesh_impl.slice_shape(mtf.Shape(self._experts_dims))
        shape = mesh_impl.slice_shape(self.outputs[0].shape)

        def sort(*inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            indices, parts = inputs[: -len(sizes)], inputs[-len(sizes) :]
            expert = tf.reshape(selected_dense.local_expert(indices, sizes, parts), [-1])
            order = tf.argsort(expert, stable=True)
            return tf.reshape(order, shape), tf.reshape(tf.gather(expert, order), shape)

        parts = [selected_dense.part_number(mesh_impl, dim) for dim in self._experts_dims]
        indices = [lowering.tensors[t].to_laid_out_tensor() for t in self.inputs]
        results = mesh_impl.slicewise(sort, *indices, *parts)
        for output, result in zip(self.outputs, results):
            lowering.set_tensor_lowering(output, result)


def to_rows(x: mtf.Tensor, order: mtf.Tensor) -> mtf.Tensor:
    """Returns the rows `[rows..., d]` of x.

    Args:
        x: a Tensor of tokens `[tokens..., d]`, or of choices `[tokens..., choices...]`.
        order: of a SortOperation.
    """
    return ToRowsOperation(x, order).outputs[0]


def from_rows(rows: mtf.Tensor, order: mtf.Tensor, shape: mtf.Shape) -> mtf.Tensor:
    """Returns the sum of the rows of each token.

    Args:
        rows: a Tensor `[rows..., d]`.
        order: of a SortOperation.
        shape: the Shape of the result: `[tokens..., d]`, or that of the choices.
    """
    return FromRowsOperation(rows, order, shape).outputs[0]


class ToRowsOperation(mtf.Operation):
    """See `to_rows`."""

    def __init__(self, x: mtf.Tensor, order: mtf.Tensor, name: str = "to_rows") -> None:
        """Makes the operation; arguments as for `to_rows`."""
        super().__init__([x, order], name=name)
        features = [dim for dim in x.shape.dims if dim not in order.shape.dims]
        self._outputs = [mtf.Tensor(self, mtf.Shape(order.shape.dims + features), x.dtype)]

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor | None]:
        """Returns the sums of the rows' gradients."""
        x, order = self.inputs
        return [from_rows(grad_ys[0], order, x.shape), None]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Gathers on each processor."""
        mesh_impl = lowering.mesh_impl(self)
        shape = mesh_impl.slice_shape(self.outputs[0].shape)
        x, order = (lowering.tensors[t].to_laid_out_tensor() for t in self.inputs)
        num_inputs, num_rows = _counts(mesh_impl, *self.inputs)

        def gather(x: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
            token = tf.reshape(order, [-1]) // (num_rows // num_inputs)
            return tf.reshape(tf.gather(tf.reshape(x, [num_inputs, -1]), token), shape)

        lowering.set_tensor_lowering(self.outputs[0], mesh_impl.slicewise(gather, x, order))


class FromRowsOperation(mtf.Operation):
    """See `from_rows`."""

    def __init__(
        self, rows: mtf.Tensor, order: mtf.Tensor, shape: mtf.Shape, name: str = "from_rows"
    ) -> None:
        """Makes the operation; arguments as for `from_rows`."""
        super().__init__([rows, order], name=name)
        self._outputs = [mtf.Tensor(self, shape, rows.dtype)]

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor | None]:
        """Returns the gradient of each row: that of its token."""
        return [to_rows(grad_ys[0], self.inputs[1]), None]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Gathers and adds on each processor, and adds over those with other experts."""
        mesh_impl = lowering.mesh_impl(self)
        output = self.outputs[0]
        shape = mesh_impl.slice_shape(output.shape)
        rows, order = (lowering.tensors[t].to_laid_out_tensor() for t in self.inputs)
        num_outputs, num_rows = _counts(mesh_impl, output, self.inputs[1])

        def add(rows: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
            place = tf.math.invert_permutation(tf.reshape(order, [-1]))
            place = tf.reshape(place, [num_outputs, -1])  # [tokens, choices]
            rows = tf.reshape(rows, [num_rows, -1])
            # [tokens, d] for each choice
            chosen = [tf.gather(rows, column) for column in tf.unstack(place, axis=1)]
            return tf.reshape(tf.add_n(chosen), shape)

        added = mesh_impl.slicewise(add, rows, order)
        # The first dimensions of the rows are parts of the experts.
        others = [d for d in self.inputs[1].shape.dims if d not in output.shape.dims]
        axes = mesh_layout.split_axes(mesh_impl, others)
        added = mesh_layout.sum_over_axes(lowering, mesh_impl, added, axes, output, "from_rows")
        lowering.set_tensor_lowering(output, added)


def _counts(mesh_impl: mtf.MeshImpl, x: mtf.Tensor, order: mtf.Tensor) -> tuple[int, int]:
    """Returns how many tokens (or choices) of x and how many rows a processor has."""
    own = [dim for dim in x.shape.dims if dim in order.shape.dims]
    sizes = (mesh_impl.slice_shape(mtf.Shape(dims)) for dims in (own, order.shape.dims))
    num_tokens, num_rows = (math.prod(size) for size in sizes)
    return num_tokens, num_rows
