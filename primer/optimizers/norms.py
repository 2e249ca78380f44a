"""Norms over all weights at once, and scalars of the events."""

import collections
from collections.abc import Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def global_norm(tensors: Sequence[mtf.Tensor | None]) -> mtf.Tensor:
    """Returns the L2 norm of all tensors as one vector, a float32 scalar; None counts as zeros."""
    return mtf.sqrt(_SumOfSquares([t for t in tensors if t is not None]).outputs[0])


def root_mean_square(x: mtf.Tensor) -> mtf.Tensor:
    """Returns the root of the mean of the squares of all elements, a float32 scalar.

    Args:
        x: a tensor; if it is the value of a variable, the elements are those of the variable
            itself, which are float32 where the value was cast to bfloat16.
    """
    total = _SumOfSquares([x], of_variables=True).outputs[0]
    return mtf.sqrt(total * (1 / x.shape.size))


def zero_unless(condition: mtf.Tensor, scalar: mtf.Tensor) -> mtf.Tensor:
    """Returns a scalar where a condition is true, and else 0, in place of NaN too."""
    values = [condition, scalar, mtf.zeros_like(scalar)]
    return mtf.cwise(tf.where_v2, values, output_dtype=scalar.dtype)


class _SumOfSquares(mtf.Operation):
    """The sum of the squares of all elements of several tensors.

    One pass over each tensor and one sum over devices for each way in which a mesh splits some;
    Mesh-TF's own operations would take a dozen for each tensor.

    Args:
        tensors: tensors of any shapes and layouts.
        of_variables: whether to read variables in place of their values in the type of activations.
            They must not be assigned before the result is known.
    """

    def __init__(self, tensors: Sequence[mtf.Tensor], of_variables: bool = False) -> None:
        super().__init__(list(tensors), name="sum_of_squares")
        self._of_variables = of_variables
        self._outputs = [mtf.Tensor(self, mtf.Shape([]), tf.float32)]

    @property
    def has_gradient(self) -> bool:
        """Whether gradients pass; these norms are not part of a loss."""
        return False

    def lower(self, lowering: Any) -> None:
        """Adds the operations of TensorFlow to a lowering."""
        mesh_impl = lowering.mesh_impl(self)
        by_axes = collections.defaultdict(list)
        for tensor in self.inputs:
            found = map(mesh_impl.tensor_dimension_to_mesh_axis, tensor.shape.dims)
            axes = tuple(sorted(axis for axis in found if axis is not None))
            by_axes[axes].append(self._slices(lowering, tensor))
        sums = []
        for axes, parts in by_axes.items():
            local = mesh_impl.slicewise(_local_sum, *parts)
            sums.append(mesh_impl.allreduce(local, list(axes), "SUM") if axes else local)
        total = mesh_impl.slicewise(lambda *values: tf.add_n(values), *sums)
        lowering.set_tensor_lowering(self.outputs[0], total)

    def _slices(self, lowering: Any, tensor: mtf.Tensor) -> Any:
        is_rounded = tensor.dtype != tf.float32 and isinstance(tensor.operation, mtf.Variable)
        if self._of_variables and is_rounded:
            return lowering.variables[tensor.operation].laid_out_tensor
        return lowering.tensors[tensor].to_laid_out_tensor()


def _local_sum(*parts):
    return 2.0 * tf.add_n([tf.nn.l2_loss(tf.cast(part, tf.float32)) for part in parts])
