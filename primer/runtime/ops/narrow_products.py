"""Products of bfloat16 operands with float32 results, where XLA compiles the graph.

Mesh-TF 0.1.21 widens the queries and keys of attention to float32 before their product, so that the
logits are not rounded. On a GPU that product then runs without the tensor cores of bfloat16, at a
fraction of their speed. Here an einsum whose two operands were widened from bfloat16 takes the
narrow ones: a product of two bfloat16 numbers is exact in float32, in which the sums stay. Its
gradients are products of bfloat16 operands too, as those of every other product of the model.

In the graph the operands are widened directly before the product, so that TensorFlow can run it
also uncompiled; `primer.runtime.compilation.function_body` takes these casts out.
"""

import functools
import math
from types import ModuleType

import tensorflow.compat.v1 as tf
from mesh_tensorflow import ops  # The package is not complete yet when this module is imported.

from primer.common import build_mode


def patch(mesh_ops: ModuleType) -> None:
    """Replaces `mesh_tensorflow.ops.einsum`."""
    mesh_ops.einsum = _with_narrow_operands(mesh_ops.einsum)


def _with_narrow_operands(stock):
    @functools.wraps(stock)
    def einsum(xs, output_shape=None, reduced_dims=None, name=None):
        if build_mode.for_xla() and not build_mode.for_tpu() and all(map(_is_widened, xs)):
            output = _output_shape(xs, output_shape, reduced_dims)
            if len(xs) == 2 and _is_matrix_product([x.shape for x in xs], output):
                narrow = [x.operation.inputs[0] for x in xs]
                return NarrowProduct(narrow, output, name).outputs[0]
        return stock(xs, output_shape, reduced_dims, name)

    return einsum


def _is_widened(x):
    """Whether `mtf.cast` has widened a tensor from bfloat16 to float32."""
    made = x.operation
    is_cast = isinstance(made, ops.SlicewiseOperation) and made.name.startswith("cast")
    return is_cast and (made.inputs[0].dtype, x.dtype) == (tf.bfloat16, tf.float32)


def _output_shape(xs, output_shape, reduced_dims):
    """Returns the shape that an einsum with these arguments has."""
    if output_shape is not None:
        return ops.convert_to_shape(output_shape)
    dims = [d for x in xs for d in x.shape.dims]
    reduced = {d for d in dims if dims.count(d) > 1} if reduced_dims is None else reduced_dims
    return ops.Shape([d for d in dict.fromkeys(dims) if d not in reduced])


def _is_matrix_product(shapes, output_shape):
    """Whether both factors have dimensions of their own, and only common ones are summed."""
    first, second = (set(shape.dims) for shape in shapes)
    output = set(output_shape.dims)
    own = (first - second, second - first)
    summed = (first & second) - output
    return all(own) and bool(summed) and own[0] | own[1] <= output <= first | second


class NarrowProduct(ops.EinsumOperation):
    """The einsum of two bfloat16 tensors, summed in float32 and not rounded.

    Args:
        inputs: two bfloat16 tensors.
        output_shape: the shape of the float32 output.
        name: the name of the operation.
    """

    def __init__(
        self, inputs: list[ops.Tensor], output_shape: ops.Shape, name: str | None = None
    ) -> None:
        super().__init__(inputs, output_shape, name=name or "narrow_product")
        self._outputs = [ops.Tensor(self, output_shape, tf.float32)]

    def gradient(self, grad_ys: list[ops.Tensor]) -> list[ops.Tensor]:
        """Returns the gradients of both factors, bfloat16."""
        grad = ops.cast(grad_ys[0], tf.bfloat16)
        first, second = self.inputs
        return [ops.einsum([grad, second], first.shape), ops.einsum([grad, first], second.shape)]

    def lower(self, lowering: ops.Lowering) -> None:
        """Builds the TensorFlow operations."""
        mesh_impl = lowering.mesh_impl(self)
        shapes, output = [x.shape for x in self.inputs], self.outputs[0].shape
        _, axes = ops._einsum_helper(shapes, output, mesh_impl)
        multiply = functools.partial(_multiply, dims=[*(s.dims for s in shapes), output.dims])
        y = mesh_impl.slicewise(multiply, *(lowering.tensors[x] for x in self.inputs))
        if axes:
            count = functools.partial(
                lowering.add_counter, f"allreduce/{axes}/einsum_op", mesh_impl.laid_out_size(output)
            )
            y = ops.LazyAllreduceSum(mesh_impl, y, axes, add_counter_fn=count)
        lowering.set_tensor_lowering(self.outputs[0], y)
        computed = ops.Shape(list(dict.fromkeys(d for shape in shapes for d in shape.dims)))
        lowering.add_counter("einsum", mesh_impl.laid_out_size(computed))
        lowering.add_counter("einsum_unique", computed.size)


def _multiply(x: tf.Tensor, y: tf.Tensor, dims: list[list[ops.Dimension]]) -> tf.Tensor:
    """Multiplies slices whose dimensions, and those of the product, are `dims`."""
    first, second, output = dims
    batch = [d for d in first if d in second and d in output]
    summed = [d for d in first if d in second and d not in output]
    rows = [d for d in first if d not in second]
    columns = [d for d in second if d not in first]
    sizes = dict(zip([*first, *second], [*x.shape.as_list(), *y.shape.as_list()], strict=True))

    def matrices(value, own, left, right):
        value = tf.transpose(value, [own.index(d) for d in [*batch, *left, *right]])
        shape = [[sizes[d] for d in group] for group in (batch, left, right)]
        value = tf.reshape(value, [*shape[0], math.prod(shape[1]), math.prod(shape[2])])
        return tf.cast(value, tf.float32)

    product = tf.matmul(
        matrices(x, first, rows, summed), matrices(y, second, summed, columns)
    )  # [batch..., rows, columns]
    found = [*batch, *rows, *columns]
    product = tf.reshape(product, [sizes[d] for d in found])
    return tf.transpose(product, [found.index(d) for d in output])
