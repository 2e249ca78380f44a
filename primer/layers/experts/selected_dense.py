"""A dense layer in which every token names the expert whose weights it wants.

    y_tc = x_t W_e + b_e  with e = index_tc

x `[tokens, in]`, index `[tokens, choices]` -> y `[tokens, choices, out]`.

No expert has a limited room and no token is dropped, so that y_t depends on nothing but x_t; for
evaluation and decoding (there is no gradient). The rows are sorted by expert, each expert
multiplies its own, and they are put back: as many multiplications as there are rows. On TPU, where
shapes must be static, every expert multiplies all rows and a mask chooses.
"""

import dataclasses
import math

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.simd_mesh_impl import SimdMeshImpl


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of a dense layer for each expert: kernel `[experts..., in, out]`, and a bias or None.

    A bias is `[experts..., out]`.
    """

    kernel: mtf.Tensor
    bias: mtf.Tensor | None
    in_dim: mtf.Dimension
    out_dim: mtf.Dimension
    experts_dims: list


def selected_dense(x, indices, weights):
    """Applies to every token the weights of the experts that it names.

    Args:
        x: a Tensor `[tokens..., in]`, or already with the choices: `[tokens..., choices..., in]`.
        indices: a list of int32 Tensors `[tokens..., choices...]`, one for each of the weights'
            experts_dims; where one is outside of its dimension, y is zero.
        weights: Weights.

    Returns:
        a Tensor `[tokens..., choices..., out]`.
    """
    y = SelectedDenseOperation(x, indices, weights).outputs[0]
    if mtf.layers.unit_scaling_convention():
        y *= weights.in_dim.size**-0.5
    return y


class SelectedDenseOperation(mtf.Operation):
    """See `selected_dense`; tokens, inputs, outputs and experts may be split over the mesh."""

    def __init__(self, x, indices, weights, name="selected_dense"):
        biases = [] if weights.bias is None else [weights.bias]
        super().__init__([x, weights.kernel, *indices, *biases], name=name)
        self._num_indices = len(indices)
        self._experts_dims = list(weights.experts_dims)
        self._in_dim = weights.in_dim
        tokens = x.shape.dims[:-1]
        if x.shape.dims[-1] != weights.in_dim or indices[0].shape.dims[: len(tokens)] != tokens:
            raise ValueError(
                f"cannot apply {weights.kernel.shape} to {x.shape} by {indices[0].shape}: expected "
                f"{weights.in_dim} last, and the other dimensions first in the indices"
            )
        shape = mtf.Shape(indices[0].shape.dims + [weights.out_dim])
        self._outputs = [mtf.Tensor(self, shape, x.dtype)]

    def gradient(self, grad_ys):
        raise NotImplementedError(
            "experts that drop no token have no gradient: they are for evaluation and decoding"
        )

    def lower(self, lowering):
        mesh_impl = lowering.mesh_impl(self)
        self._check_layout(mesh_impl)
        run = _masked if isinstance(mesh_impl, SimdMeshImpl) else _sorted
        sum_axes = self._axes(mesh_impl, [*self._experts_dims, self._in_dim])
        in_parts = self._in_dim.size // mesh_impl.slice_shape(mtf.Shape([self._in_dim]))[0]
        sizes = mesh_impl.slice_shape(mtf.Shape(self._experts_dims))

        def slice_fn(x, kernel, *rest):
            index = rest[: self._num_indices]
            biases, places = rest[self._num_indices : -len(sizes)], rest[-len(sizes) :]
            # Every processor that holds a part of the sum adds its part of the bias.
            bias = tf.reshape(biases[0], [math.prod(sizes), -1]) / in_parts if biases else None
            kernel = tf.reshape(kernel, [math.prod(sizes), *kernel.shape.as_list()[-2:]])
            rows = tf.reshape(x, [-1, x.shape.as_list()[-1]])
            expert = _local_expert(index, sizes, places)
            y = run(rows, tf.reshape(expert, [rows.shape.as_list()[0], -1]), kernel, bias)
            return tf.reshape(y, [*index[0].shape.as_list(), y.shape.as_list()[-1]])

        places = [self._place(mesh_impl, dim) for dim in self._experts_dims]
        inputs = [lowering.tensors[t].to_laid_out_tensor() for t in self.inputs]
        y = mesh_impl.slicewise(slice_fn, *inputs, *places)
        if sum_axes:
            y = mtf.LazyAllreduceSum(mesh_impl, y, sum_axes)
        lowering.set_tensor_lowering(self.outputs[0], y)

    def _axes(self, mesh_impl, dims):
        axes = [mesh_impl.tensor_dimension_to_mesh_axis(dim) for dim in dims]
        return [axis for axis in axes if axis is not None]

    def _place(self, mesh_impl, dim):
        """Which part of a dimension each processor holds."""
        axis = mesh_impl.tensor_dimension_to_mesh_axis(dim)
        return 0 if axis is None else mesh_impl.laid_out_pcoord(axis)

    def _check_layout(self, mesh_impl):
        tokens = self._axes(mesh_impl, self.inputs[2].shape.dims)
        experts = self._axes(mesh_impl, self._experts_dims)
        if set(tokens) & set(experts):
            raise ValueError(
                f"tokens {self.inputs[2].shape} and experts {self._experts_dims} are split over "
                "the same axis of the mesh; give the layout to the model too "
                "(Unitransformer.layout, .mesh_shape), as Mesh-TensorFlow's run does"
            )


def _local_expert(index, sizes, places):
    """The number of each row's expert among those of this processor; their count for any other.

    Experts of several dimensions are numbered like the rows of a reshaped kernel.
    """
    number, inside = 0, True
    for part, size, place in zip(index, sizes, places):
        local = part - place * size
        inside = tf.logical_and(inside, tf.logical_and(local >= 0, local < size))
        number = number * size + local
    return tf.where(inside, number, tf.fill(tf.shape(number), math.prod(sizes)))


def _sorted(x, expert, kernel, bias):
    """y `[rows * choices, out]`: one multiplication for each expert, of the rows that want it.

    Args:
        x: `[rows, in]`.
        expert: int32 `[rows, choices]` in 0 ... experts, the last of which means none.
        kernel: `[experts, in, out]`.
        bias: `[experts, out]`, or None.
    """
    num_experts, choices = kernel.shape.as_list()[0], expert.shape.as_list()[1]
    expert = tf.reshape(expert, [-1])
    order = tf.argsort(expert, stable=True)
    counts = tf.math.bincount(expert, minlength=num_experts + 1, maxlength=num_experts + 1)
    parts = tf.split(tf.gather(x, order // choices), counts, num=num_experts + 1)
    outputs = [tf.matmul(part, w) for part, w in zip(parts, tf.unstack(kernel))]
    if bias is not None:
        outputs = [y + b for y, b in zip(outputs, tf.unstack(bias))]
    nothing = tf.zeros([counts[-1], kernel.shape.as_list()[-1]], x.dtype)
    y = tf.gather(tf.concat([*outputs, nothing], 0), tf.math.invert_permutation(order))
    y.set_shape([expert.shape.as_list()[0], kernel.shape.as_list()[-1]])
    return y


def _masked(x, expert, kernel, bias):
    """The same with static shapes: every expert multiplies every row."""
    y = tf.zeros([*expert.shape.as_list(), kernel.shape.as_list()[-1]], x.dtype)
    for number, weights in enumerate(tf.unstack(kernel)):
        part = tf.matmul(x, weights)
        if bias is not None:
            part += bias[number]
        y = tf.where_v2(tf.equal(expert, number)[:, :, None], part[:, None, :], y)
    return y
