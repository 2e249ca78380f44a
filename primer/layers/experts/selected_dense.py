"""A dense layer of experts that multiplies each token by the weights of its chosen experts.

    y_tc = x_t W_e + b_e  with e = index_tc

x `[tokens, in]`, index `[tokens, choices]` -> y `[tokens, choices, out]`.

Experts have no capacity and no token is dropped (as in MegaBlocks,
https://arxiv.org/abs/2211.15841), so that y_t depends only on x_t. For evaluation and decoding;
there is no gradient (`dropless` has one). The rows are sorted by expert, each expert multiplies its
own, and the results return to the original order: the cost is one product per row. On TPU, where
shapes must be static, every expert multiplies all rows and a mask selects.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.simd_mesh_impl import SimdMeshImpl

from primer.layers import mesh_layout
from primer.parametrization import lora


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of a dense layer for each expert.

    Attributes:
        kernel: a Tensor `[experts..., in, out]`.
        bias: a Tensor `[experts..., out]`, or None.
        in_dim, out_dim: the Dimensions of the kernel's rows and columns.
        experts_dims: the Dimensions that number the experts.
    """

    kernel: mtf.Tensor
    bias: mtf.Tensor | None
    in_dim: mtf.Dimension
    out_dim: mtf.Dimension
    experts_dims: Sequence[mtf.Dimension]


def selected_dense(x: mtf.Tensor, indices: Sequence[mtf.Tensor], weights: Weights) -> mtf.Tensor:
    """Multiplies every token by the weights of the experts that it chose.

    Args:
        x: a Tensor `[tokens..., in]`, or already with the choices: `[tokens..., choices..., in]`.
        indices: a list of int32 Tensors `[tokens..., choices...]`, one for each of the weights'
            experts_dims; where one is outside of its dimension, y is zero.
        weights: Weights.

    Returns:
        A Tensor `[tokens..., choices..., out]`.

    Raises:
        ValueError: the dimensions do not match, or (when lowered) the mesh splits tokens and
            experts over the same axis.
    """
    y = SelectedDenseOperation(x, indices, weights).outputs[0]  # [tokens..., choices..., out]

    def product(x: mtf.Tensor, factor: Weights) -> mtf.Tensor:
        return SelectedDenseOperation(x, indices, factor).outputs[0]

    y = with_lora(y, x, weights, product)
    if mtf.layers.unit_scaling_convention():
        y *= weights.in_dim.size**-0.5
    return y


def with_lora(
    y: mtf.Tensor, x: mtf.Tensor, weights: Weights, multiply: Callable[..., mtf.Tensor]
) -> mtf.Tensor:
    """Returns the product of x and the weights of experts, with LoRA's product if they have it.

    Args:
        y: the product without it, `[..., out]`.
        x: a Tensor `[..., in]`.
        weights: Weights.
        multiply: the product: (x, Weights) -> y.
    """
    found = lora.factors(weights.kernel, [weights.in_dim], [weights.out_dim])
    if found is None:
        return y
    a = dataclasses.replace(weights, kernel=found.a, bias=None, out_dim=found.rank)
    b = dataclasses.replace(weights, kernel=found.b, bias=None, in_dim=found.rank)
    return y + multiply(multiply(found.dropped(x), a), b) * found.scale


class SelectedDenseOperation(mtf.Operation):
    """See `selected_dense`; tokens, inputs, outputs and experts may be split over the mesh."""

    def __init__(
        self,
        x: mtf.Tensor,
        indices: Sequence[mtf.Tensor],
        weights: Weights,
        name: str = "selected_dense",
    ) -> None:
        """Makes the operation; arguments as for `selected_dense`."""
        biases = [] if weights.bias is None else [weights.bias]
        super().__init__([x, weights.kernel, *indices, *biases], name=name)
        self._num_indices = len(indices)
        self._experts_dims = list(weights.experts_dims)
        self._in_dim = weights.in_dim
        tokens = x.shape.dims[:-1]
        if x.shape.dims[-1] != weights.in_dim or indices[0].shape.dims[: len(tokens)] != tokens:
            raise ValueError(
                f"cannot multiply {x.shape} by {weights.kernel.shape} at indices "
                f"{indices[0].shape}: expected {weights.in_dim} as the last dimension, and the "
                "others as the first ones of the indices"
            )
        shape = mtf.Shape(indices[0].shape.dims + [weights.out_dim])
        self._outputs = [mtf.Tensor(self, shape, x.dtype)]

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of the chosen experts, for `primer.cost`."""
        return self.outputs[0].shape.size * self._in_dim.size

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor | None]:
        """Raises a NotImplementedError."""
        raise NotImplementedError(
            "experts that drop no token have no gradient: they are for evaluation and decoding"
        )

    def lower(self, lowering: mtf.Lowering) -> None:
        """Multiplies on each processor by its experts, and sums over those with other parts."""
        mesh_impl = lowering.mesh_impl(self)
        check_layout(mesh_impl, self.inputs[2].shape, self._experts_dims)
        run = _multiply_masked if isinstance(mesh_impl, SimdMeshImpl) else _multiply_sorted
        sum_axes = mesh_layout.split_axes(mesh_impl, [*self._experts_dims, self._in_dim])
        in_parts = self._in_dim.size // mesh_impl.slice_shape(mtf.Shape([self._in_dim]))[0]
        sizes = mesh_impl.slice_shape(mtf.Shape(self._experts_dims))

        def slice_fn(x: tf.Tensor, kernel: tf.Tensor, *rest: tf.Tensor) -> tf.Tensor:
            index = rest[: self._num_indices]
            biases, parts = rest[self._num_indices : -len(sizes)], rest[-len(sizes) :]
            # Each of the in_parts processors that are summed adds its share of the bias.
            # [experts, out]
            bias = tf.reshape(biases[0], [math.prod(sizes), -1]) / in_parts if biases else None
            # [experts, in, out]
            kernel = tf.reshape(kernel, [math.prod(sizes), *kernel.shape.as_list()[-2:]])
            rows = tf.reshape(x, [-1, x.shape.as_list()[-1]])  # [rows, in]
            expert = local_expert(index, sizes, parts)  # [tokens..., choices...]
            # [rows * choices, out] or [rows, choices, out]
            y = run(rows, tf.reshape(expert, [rows.shape.as_list()[0], -1]), kernel, bias)
            return tf.reshape(y, [*index[0].shape.as_list(), y.shape.as_list()[-1]])

        parts = [part_number(mesh_impl, dim) for dim in self._experts_dims]
        inputs = [lowering.tensors[t].to_laid_out_tensor() for t in self.inputs]
        y = mesh_impl.slicewise(slice_fn, *inputs, *parts)
        if sum_axes:
            y = mtf.LazyAllreduceSum(mesh_impl, y, sum_axes)
        lowering.set_tensor_lowering(self.outputs[0], y)


def check_layout(
    mesh_impl: mtf.MeshImpl, tokens: mtf.Shape, experts_dims: Sequence[mtf.Dimension]
) -> None:
    """Raises a ValueError if the mesh splits tokens and experts over the same axis."""
    axes = (mesh_layout.split_axes(mesh_impl, dims) for dims in (tokens.dims, experts_dims))
    if set.intersection(*map(set, axes)):
        raise ValueError(
            f"tokens {tokens} and experts {list(experts_dims)} are split over "
            "the same axis of the mesh; give the layout to the model too "
            "(Unitransformer.layout, .mesh_shape), as Mesh-TensorFlow's run does"
        )


def part_number(mesh_impl: mtf.MeshImpl, dim: mtf.Dimension) -> Any:
    """Returns the index of the part of a dimension that each processor holds."""
    axis = mesh_impl.tensor_dimension_to_mesh_axis(dim)
    return 0 if axis is None else mesh_impl.laid_out_pcoord(axis)


def local_expert(
    indices: Sequence[tf.Tensor], sizes: Sequence[int], parts: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Returns the index of each row's expert among those of this processor.

    The number of these experts stands for an expert on another processor. Experts of several
    dimensions are numbered like the rows of a reshaped kernel.
    """
    number, inside = 0, True
    for index, size, part in zip(indices, sizes, parts):
        local = index - part * size
        inside = tf.logical_and(inside, tf.logical_and(local >= 0, local < size))
        number = number * size + local
    return tf.where(inside, number, tf.fill(tf.shape(number), math.prod(sizes)))


def _multiply_sorted(
    x: tf.Tensor, expert: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None
) -> tf.Tensor:
    """Returns y `[rows * choices, out]`: each expert multiplies the rows that chose it.

    Args:
        x: `[rows, in]`.
        expert: int32 `[rows, choices]` from 0 to experts, where the last value stands for none.
        kernel: `[experts, in, out]`.
        bias: `[experts, out]`, or None.
    """
    num_experts, choices = kernel.shape.as_list()[0], expert.shape.as_list()[1]
    expert = tf.reshape(expert, [-1])  # [rows * choices]
    order = tf.argsort(expert, stable=True)
    # [experts + 1]
    counts = tf.math.bincount(expert, minlength=num_experts + 1, maxlength=num_experts + 1)
    # [rows of the expert, in] each
    parts = tf.split(tf.gather(x, order // choices), counts, num=num_experts + 1)
    outputs = [tf.matmul(part, w) for part, w in zip(parts, tf.unstack(kernel))]
    if bias is not None:
        outputs = [y + b for y, b in zip(outputs, tf.unstack(bias))]
    nothing = tf.zeros([counts[-1], kernel.shape.as_list()[-1]], x.dtype)
    # [rows * choices, out]
    y = tf.gather(tf.concat([*outputs, nothing], 0), tf.math.invert_permutation(order))
    y.set_shape([expert.shape.as_list()[0], kernel.shape.as_list()[-1]])
    return y


def _multiply_masked(
    x: tf.Tensor, expert: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None
) -> tf.Tensor:
    """Returns y `[rows, choices, out]` with static shapes: every expert multiplies every row."""
    # [rows, choices, out]
    y = tf.zeros([*expert.shape.as_list(), kernel.shape.as_list()[-1]], x.dtype)
    for number, weights in enumerate(tf.unstack(kernel)):
        part = tf.matmul(x, weights)  # [rows, out]
        if bias is not None:
            part += bias[number]
        y = tf.where_v2(tf.equal(expert, number)[:, :, None], part[:, None, :], y)
    return y
