"""A dense layer of experts on rows sorted by expert: `block_products` on a mesh.

    y_i = x_i W_e + b_e    with e = expert_i        [rows..., in] -> [rows..., out]

The rows are those of `sorted_rows`. Inputs, outputs and experts may be split over the mesh.
"""

import math

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.simd_mesh_impl import SimdMeshImpl

from primer.common import build_mode
from primer.layers import mesh_layout
from primer.layers.experts import selected_dense
from primer.layers.experts.dropless import block_products


def multiply(x: mtf.Tensor, expert: mtf.Tensor, weights: selected_dense.Weights) -> mtf.Tensor:
    """Multiplies each row by the weights of its expert.

    Args:
        x: a Tensor `[rows..., in]`.
        expert: int32 `[rows...]` of a `sorted_rows.SortOperation`.
        weights: selected_dense.Weights.

    Returns:
        A Tensor `[rows..., out]`, 0 for rows without expert.
    """
    y = RowsDenseOperation(x, expert, weights).outputs[0]

    def product(x: mtf.Tensor, factor: selected_dense.Weights) -> mtf.Tensor:
        return RowsDenseOperation(x, expert, factor).outputs[0]

    y = selected_dense.with_lora(y, x, weights, product)
    if mtf.layers.unit_scaling_convention():
        y *= weights.in_dim.size**-0.5
    return y


class RowsDenseOperation(mtf.Operation):
    """See `multiply`."""

    def __init__(
        self,
        x: mtf.Tensor,
        expert: mtf.Tensor,
        weights: selected_dense.Weights,
        name: str = "rows_dense",
    ) -> None:
        """Makes the operation; arguments as for `multiply`."""
        biases = [] if weights.bias is None else [weights.bias]
        super().__init__([x, expert, weights.kernel, *biases], name=name)
        self.weights = weights
        shape = mtf.Shape(expert.shape.dims + [weights.out_dim])
        self._outputs = [mtf.Tensor(self, shape, x.dtype)]

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of the chosen experts, for `primer.cost`."""
        parts = math.prod(d.size for d in self.outputs[0].shape.dims[: self.num_parts_dims])
        # A row is multiplied in one part of the experts.
        return self.outputs[0].shape.size * self.weights.in_dim.size // parts

    @property
    def num_parts_dims(self) -> int:
        """The number of the rows' first dimensions, which are parts of the experts."""
        return len(self.weights.experts_dims)

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor | None]:
        """Returns the gradients of x, of the kernel, and of the bias if there is one."""
        dx, dkernel, dbias = RowsDenseGradOperation(self, grad_ys[0]).outputs
        return [dx, None, dkernel, dbias][: len(self.inputs)]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Multiplies on each processor, and adds over those with other inputs."""
        mesh_impl = lowering.mesh_impl(self)
        output, in_dim = self.outputs[0], self.weights.in_dim
        shape = mesh_impl.slice_shape(output.shape)
        in_parts = in_dim.size // mesh_impl.slice_shape(mtf.Shape([in_dim]))[0]
        run = _form(mesh_impl).multiply

        def slice_fn(
            x: tf.Tensor, expert: tf.Tensor, kernel: tf.Tensor, *biases: tf.Tensor
        ) -> tf.Tensor:
            # Each of the in_parts processors whose results are added has its share of the bias.
            bias = _flat(biases[0], 1) / in_parts if biases else None
            y = run(_flat(x, 1), tf.reshape(expert, [-1]), _flat(kernel, 2), bias)
            return tf.reshape(y, shape)

        inputs = [lowering.tensors[t].to_laid_out_tensor() for t in self.inputs]
        y = mesh_impl.slicewise(slice_fn, *inputs)
        axes = mesh_layout.split_axes(mesh_impl, [in_dim])
        y = mesh_layout.sum_over_axes(lowering, mesh_impl, y, axes, output, "rows_dense")
        lowering.set_tensor_lowering(output, y)


class RowsDenseGradOperation(mtf.Operation):
    """Computes the gradients of x, the kernel and the bias of a RowsDenseOperation."""

    def __init__(
        self, forward: RowsDenseOperation, dy: mtf.Tensor, name: str = "rows_dense_grad"
    ) -> None:
        """Makes the operation.

        Args:
            forward: the product.
            dy: the gradient of its result.
            name: the operation's name.
        """
        x, expert, kernel, *_ = forward.inputs
        super().__init__([x, expert, kernel, dy], name=name)
        self.weights = forward.weights
        self._row_dims = expert.shape.dims[forward.num_parts_dims :]
        bias_shape = mtf.Shape([*self.weights.experts_dims, self.weights.out_dim])
        self._outputs = [
            mtf.Tensor(self, x.shape, x.dtype, index=0),
            mtf.Tensor(self, kernel.shape, kernel.dtype, index=1),
            mtf.Tensor(self, bias_shape, kernel.dtype, index=2),
        ]

    @property
    def multiply_adds(self) -> int:
        """Twice those of the product."""
        rows = mtf.Shape(self._row_dims).size
        return 2 * rows * self.weights.in_dim.size * self.weights.out_dim.size

    def lower(self, lowering: mtf.Lowering) -> None:
        """Multiplies on each processor, and adds over those with other outputs or other rows."""
        mesh_impl = lowering.mesh_impl(self)
        shapes = [mesh_impl.slice_shape(output.shape) for output in self.outputs]
        run = _form(mesh_impl).gradients

        def slice_fn(
            x: tf.Tensor, expert: tf.Tensor, kernel: tf.Tensor, dy: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            found = run(_flat(x, 1), tf.reshape(expert, [-1]), _flat(kernel, 2), _flat(dy, 1))
            return tuple(tf.reshape(value, shape) for value, shape in zip(found, shapes))

        inputs = [lowering.tensors[t].to_laid_out_tensor() for t in self.inputs]
        found = mesh_impl.slicewise(slice_fn, *inputs)
        summed = ([self.weights.out_dim], self._row_dims, self._row_dims)
        for output, value, dims in zip(self.outputs, found, summed):
            axes = mesh_layout.split_axes(mesh_impl, dims)
            value = mesh_layout.sum_over_axes(
                lowering, mesh_impl, value, axes, output, "rows_dense"
            )
            lowering.set_tensor_lowering(output, value)


def _form(mesh_impl: mtf.MeshImpl) -> block_products.Form:
    """Returns the form for a mesh: static shapes on a TPU, and where XLA compiles the graph."""
    static = isinstance(mesh_impl, SimdMeshImpl) or build_mode.for_xla()
    return block_products.IN_BLOCKS if static else block_products.BY_EXPERT


def _flat(x: tf.Tensor, kept: int) -> tf.Tensor:
    """Returns x with one dimension before the last `kept`."""
    return tf.reshape(x, [-1, *x.shape.as_list()[-kept:]])
