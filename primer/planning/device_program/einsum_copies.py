"""The copies that TensorFlow's Einsum makes of its operands and its result on CPUs.

The kernel multiplies matrices: it copies an operand whose dimensions are not in the order batch,
free, summed (or batch, summed, free), each kind in the order in which the equation first names
them, and a result whose dimensions are not in the order batch, free of the first operand, free of
the second (TensorFlow's tensorflow/core/kernels/linalg/einsum_op_impl.h). XLA chooses layouts
instead. Blocks that the product packs are not counted: at most a few MB.
"""

from collections.abc import Sequence

from primer.planning.device_program.operations import Node

_BATCH, _FREE, _SUMMED = range(3)
# By kind: its place in an operand of which the product reads the transposed matrix.
_TRANSPOSED = (0, 2, 1)


def size(node: Node) -> int:
    """Returns the bytes of the copies that an operation makes while it runs; 0 for others."""
    if node.kind != "Einsum" or len(node.inputs) != 2:
        return 0
    operands, result = node.operation.get_attr("equation").decode().replace(" ", "").split("->")
    names = operands.split(",")
    copied = [
        value.bytes
        for name, value in zip(names, node.inputs, strict=True)
        if not _is_in_order(name, names, result)
    ]
    if result != _product(names, result):
        copied.append(node.outputs[0].bytes)
    return sum(copied)


def _is_in_order(name: str, names: Sequence[str], result: str) -> bool:
    """Returns whether an operand is multiplied as it is."""
    ranks = [(_kind(index, names, result), _place(index, names)) for index in name]
    transposed = [(_TRANSPOSED[kind], place) for kind, place in ranks]
    return ranks == sorted(ranks) or transposed == sorted(transposed)


def _kind(index: str, names: Sequence[str], result: str) -> int:
    if index not in result:
        return _SUMMED
    return _BATCH if all(index in name for name in names) else _FREE


def _place(index: str, names: Sequence[str]) -> int:
    return "".join(names).index(index)


def _product(names: Sequence[str], result: str) -> str:
    """Returns the indices of the product of the matrices, in its order."""
    kept = [index for name in names for index in name if index in result]
    batch = [index for index in kept if _kind(index, names, result) == _BATCH]
    return "".join(dict.fromkeys([*batch, *kept]))
