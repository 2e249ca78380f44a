"""Products whose operands come in the order of their result's dimensions.

The gradient of a weight `[d, e]` is, in Mesh-TF 0.1.21, the einsum of dy `[..., e]` and x `[...,
d]`. TensorFlow computes `[e, d]` and transposes it. With x first the product has the right order
by itself, and takes a tenth less time on a CPU. And a sum over a matrix with weights for its rows
or columns is a product of a matrix and a vector, not a product of all elements and a sum of those.
A TPU keeps Mesh-TF's form.
"""

import functools
from types import ModuleType

from mesh_tensorflow import ops  # The package is not complete yet when this module is imported.

from primer.common import build_mode

# Elements of a matrix from which its product with a vector is worth an operation of its own.
_MATRIX = 2**12


def patch(mesh_ops: ModuleType) -> None:
    """Replaces what lowers an einsum in `mesh_tensorflow.ops`."""
    mesh_ops._einsum_helper = _ordered(mesh_ops._einsum_helper)


def _ordered(stock):
    @functools.wraps(stock)
    def einsum_helper(input_shapes, output_shape, mesh_impl):
        lowered = stock(input_shapes, output_shape, mesh_impl)
        if len(input_shapes) != 2 or build_mode.for_tpu():
            return lowered
        if is_matrix_by_vector(*input_shapes, output_shape):
            equation = ops._einsum_equation(input_shapes, output_shape)
            return _if_floating(mesh_impl, equation, lowered[0]), lowered[1]
        if not begins_with_second(*input_shapes, output_shape):
            return lowered
        of_slices, axes = stock(input_shapes[::-1], output_shape, mesh_impl)
        return (lambda first, second: of_slices(second, first)), axes

    return einsum_helper


def begins_with_second(first: ops.Shape, second: ops.Shape, output: ops.Shape) -> bool:
    """Whether the first dimension of a result that one operand alone has is the second's.

    Args:
        first, second: the shapes of the operands.
        output: the shape of the result.
    """
    own = [dim for dim in output.dims if (dim in first.dims) != (dim in second.dims)]
    return bool(own) and own[0] in second.dims


def is_matrix_by_vector(first: ops.Shape, second: ops.Shape, output: ops.Shape) -> bool:
    """Whether an einsum sums a large matrix over one dimension, with weights for this dimension.

    Args:
        first, second: the shapes of the operands; the second's dimensions are some of the first's.
        output: the shape of the result.
    """
    if len(second.dims) != 1 or second.dims[0] not in first.dims or first.ndims != 2:
        return False
    return output.dims == (first - second.dims[0]).dims and first.size >= _MATRIX


def _if_floating(mesh_impl, equation, otherwise):
    def of_slices(first, second):
        if first.dtype.is_floating:
            return mesh_impl.einsum(equation, first, second)
        return otherwise(first, second)

    return of_slices
