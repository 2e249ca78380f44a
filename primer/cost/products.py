"""The matrix products of a forward pass, and their multiply-adds.

An EinsumOperation is a matrix product if it sums over a dimension that two inputs share, and two
inputs each have a dimension of the output that the others lack:

    x[length, d_model] y[d_model, d_ff] -> [length, d_ff]:  length * d_model * d_ff multiply-adds

Component-wise products (masks, gates, norms) and products of vectors are no matrix products. Nor
are products with a selection, which only look up, move or add rows: a gather multiplies a table by
`mtf.one_hot`, experts multiply tokens by their dispatch, `mtf.cumsum` by a triangle of ones.

An operation of another class has none, unless it has an attribute `multiply_adds`, their number
(`CausalDepthwiseConvOperation`). A fused lookup has no such attribute.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def products(graph: mtf.Graph) -> Iterator[tuple[mtf.Operation, int]]:
    """Yields (operation, multiply-adds) of each product of a forward pass, in the graph's order.

    Args:
        graph: a graph without gradients, not lowered: lowering stacks variables.
    """
    selections: set[mtf.Tensor] = set()
    for operation in graph.operations:
        if _makes_selection(operation, selections):
            selections.update(operation.outputs)
        number = _multiply_adds(operation, selections)
        if number:
            yield operation, number


def selections(operations: Iterable[mtf.Operation]) -> set[mtf.Tensor]:
    """Returns the outputs that select entries of other tensors: one-hot, and functions of these.

    Args:
        operations: those of a graph, in its order, before lowering.
    """
    found: set[mtf.Tensor] = set()
    for operation in operations:
        if _makes_selection(operation, found):
            found.update(operation.outputs)
    return found


def weight_of(tensor: mtf.Tensor) -> mtf.Variable | None:
    """Returns the variable that a tensor is a cast, a reshape or another function of, or None."""
    operation = tensor.operation
    while not isinstance(operation, mtf.Variable) and len(operation.inputs) == 1:
        operation = operation.inputs[0].operation
    return operation if isinstance(operation, mtf.Variable) else None


def _multiply_adds(operation: mtf.Operation, selections: set[mtf.Tensor]) -> int:
    if hasattr(operation, "multiply_adds"):
        return operation.multiply_adds
    if not _is_matrix_product(operation):
        return 0
    if any(x in selections or _is_mask(x) for x in operation.inputs):
        return 0
    dims = {dim for x in operation.inputs for dim in x.shape.dims}
    return math.prod(dim.size for dim in dims) * (len(operation.inputs) - 1)


def _is_matrix_product(operation: mtf.Operation) -> bool:
    if not isinstance(operation, mtf.EinsumOperation) or not _summed_dims(operation):
        return False
    output = operation.outputs[0].shape.dims
    counts = Counter(dim for x in operation.inputs for dim in x.shape.dims)
    own = [any(d in output and counts[d] == 1 for d in x.shape.dims) for x in operation.inputs]
    return sum(own) >= 2


def _summed_dims(operation: mtf.EinsumOperation) -> list[mtf.Dimension]:
    """Returns the dimensions that at least two inputs have and the output lacks."""
    counts = Counter(dim for x in operation.inputs for dim in x.shape.dims)
    output = operation.outputs[0].shape.dims
    return [dim for dim, count in counts.items() if count > 1 and dim not in output]


def _makes_selection(operation: mtf.Operation, selections: set[mtf.Tensor]) -> bool:
    """Returns whether the output is a one-hot tensor, or one with other values for its ones."""
    if isinstance(operation, mtf.EinsumOperation):
        is_any = any(x in selections for x in operation.inputs)
        return is_any and not _summed_dims(operation)
    if isinstance(operation, mtf.OneHotOperation):
        return True
    return bool(operation.inputs) and all(x in selections for x in operation.inputs)


def _is_mask(tensor: mtf.Tensor) -> bool:
    """Returns whether a tensor consists of zeros and ones: a cast of booleans."""
    operation = tensor.operation
    while isinstance(operation, mtf.ReshapeOperation):
        operation = operation.inputs[0].operation
    return len(operation.inputs) == 1 and operation.inputs[0].dtype == tf.bool
