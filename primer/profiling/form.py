"""What an operation is applied to, as text: its operands' shapes, and how a product sums them."""

from typing import Any

import tensorflow.compat.v1 as tf

# Operations whose attributes say which matrix is transposed -> the two attributes.
_TRANSPOSED = {
    "MatMul": ("transpose_a", "transpose_b"),
    "BatchMatMul": ("adj_x", "adj_y"),
    "BatchMatMulV2": ("adj_x", "adj_y"),
    "BatchMatMulV3": ("adj_x", "adj_y"),
}
MOST_OPERANDS = 3


def of_operation(operation: tf.Operation) -> str:
    """Returns the form of an operation: equal operations have equal ones.

    An Einsum's has its equation and the operands, "abc,cd->abd [8,128,512] [512,2048]"; in other
    matrix products a transposed operand has a T behind it.
    """
    shapes = [_shape(x) for x in operation.inputs if x.dtype not in (tf.resource, tf.variant)]
    if operation.type == "Einsum":
        equation = operation.get_attr("equation").decode().replace(" ", "")
        return " ".join([equation, *shapes])
    if operation.type in _TRANSPOSED:
        flags = [operation.get_attr(name) for name in _TRANSPOSED[operation.type]]
        shapes = [s + "T" * flag for s, flag in zip(shapes, flags, strict=True)]
    if not shapes:  # What it makes, as of a read of a variable.
        shapes = [_shape(x) for x in operation.outputs]
    more = f" and {len(shapes) - MOST_OPERANDS} more" if len(shapes) > MOST_OPERANDS else ""
    return " ".join(shapes[:MOST_OPERANDS]) + more


def _shape(tensor: Any) -> str:
    if tensor.shape.rank is None:
        return "?"
    sizes = ",".join("?" if size is None else str(size) for size in tensor.shape.as_list())
    return f"[{sizes}]"
