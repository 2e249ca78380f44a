"""The multiply-adds of an operation: 2 FLOPs for each, as `primer.cost.products` counts them.

They are counted on the TensorFlow operations of one device: matrix products (`Einsum`, `MatMul`,
`BatchMatMul`) and convolutions, of whatever is multiplied, one-hot tensors too. A product of two
vectors (an `Einsum` in which not both operands have a dimension of their own), a sum as a product
with ones (a `MatMul` of one row or column) and component-wise operations count none.
Mesh-TF operations with an attribute `multiply_adds` that are lowered to
component-wise operations (a depthwise convolution on a TPU) count it for their share of the result.
"""

import math
from collections import Counter
from collections.abc import Sequence

from primer.planning.device_program.operations import Node

_MATRIX_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
# Of images `[batch, height, width, channels]`, with taps `[height, width, in, out]`.
_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_CONVOLUTION_GRADIENTS = tuple(
    f"{kind}Backprop{of}" for kind in _CONVOLUTIONS for of in ("Input", "Filter")
)
PRODUCTS = frozenset({"Einsum", *_MATRIX_PRODUCTS, *_CONVOLUTIONS, *_CONVOLUTION_GRADIENTS})


def flops(node: Node) -> int:
    """Returns the FLOPs of one run of an operation, 0 for one that is no product."""
    if node.kind == "Einsum":
        return 2 * _einsum(node.operation.get_attr("equation").decode(), _shapes(node))
    if node.kind in _MATRIX_PRODUCTS:
        return 2 * _matrix_product(node)
    if node.kind in PRODUCTS:
        return 2 * _convolution(node)
    return 0


def _shapes(node: Node) -> list[tuple[int, ...]]:
    return [value.shape or () for value in node.inputs]


def _einsum(equation: str, shapes: Sequence[tuple[int, ...]]) -> int:
    """Returns the multiply-adds of an Einsum: the sizes of all its indices multiplied."""
    operands, output = equation.replace(" ", "").split("->")
    names = operands.split(",")
    sizes: dict[str, int] = {}
    for name, shape in zip(names, shapes, strict=True):
        sizes.update(zip(name, shape, strict=True))
    counts = Counter(index for name in names for index in set(name))
    summed = [i for i, count in counts.items() if count > 1 and i not in output]
    own = [any(counts[i] == 1 and i in output for i in name) for name in names]
    return math.prod(sizes.values()) * (len(names) - 1) if summed and sum(own) >= 2 else 0


def _matrix_product(node: Node) -> int:
    first = _shapes(node)[0]
    output = node.outputs[0].shape or ()
    if 1 in output[-2:]:
        return 0
    attribute = "transpose_a" if node.kind == "MatMul" else "adj_x"
    summed = first[-2] if node.operation.get_attr(attribute) else first[-1]
    return math.prod(output) * summed


def _convolution(node: Node) -> int:
    """Returns the multiply-adds of a convolution, or of a gradient of one."""
    shapes, output = _shapes(node), node.outputs[0].shape or ()
    if node.kind in _CONVOLUTIONS:
        return math.prod(output[:3]) * math.prod(shapes[1])
    taps = output if node.kind.endswith("Filter") else shapes[1]
    return math.prod(shapes[2][:3]) * math.prod(taps)
