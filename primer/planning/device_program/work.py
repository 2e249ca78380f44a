"""What the operations of a step compute, read and write, by part of the model and phase.

Memory access is counted twice: as if each operation read its operands from memory and wrote its
result there, copies of Einsum's operands included, and as a compiler like XLA fuses operations, by
one rule: an element-wise operation whose only reader is element-wise or a reduction, in the same
part and phase, writes nothing; its reader reads its operands. A compiler may fuse more or less than
that. A slice and a lookup of rows read what they return.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import mesh_tensorflow as mtf

from primer.planning.device_program import einsum_copies, flops
from primer.planning.device_program.liveness import ALIASES, ELEMENT_WISE
from primer.planning.device_program.operations import Node, Value
from primer.planning.device_program.program import Kernel, Work
from primer.planning.device_program.recording import LoweredGraph

_FUSED = ELEMENT_WISE | frozenset(
    "Cast Fill Select SelectV2 Equal NotEqual Less LessEqual Greater GreaterEqual BroadcastTo "
    "OneHot Range Pad Transpose ZerosLike OnesLike ClipByValue".split()
)
_REDUCTIONS = frozenset("Sum Max Min Mean Prod All Any ArgMax ArgMin L2Loss".split())
_MOVES_NOTHING = ALIASES | frozenset(
    "Const VarHandleOp VarIsInitializedOp VariableV2 NoOp Enter Exit Merge Shape".split()
)
_READS_PART = frozenset({"Slice", "StridedSlice", "GatherV2", "ResourceGather"})
_KernelKey = tuple[str, str, str, int, int, int, str]


class NodeWork(NamedTuple):
    """What an operation computes and moves in a step, iterations of loops included.

    Attributes:
        flops, useful_flops: as of `Work`.
        bytes: its operands and its result, and the copies that Einsum makes of them.
    """

    flops: int
    useful_flops: float
    bytes: int


class WorkCount:
    """The work of a step.

    Args:
        run: the lowered graph.
        nodes: its operations.

    Attributes:
        work: {(part, phase): Work}.
        of_nodes: the work of each operation that accesses memory.
    """

    def __init__(self, run: LoweredGraph, nodes: Sequence[Node]) -> None:
        self._run = run
        self._products = {node.source for node in nodes if node.kind in flops.PRODUCTS}
        self._counted: set[mtf.Operation | None] = set()
        self._kernels: Counter[_KernelKey] = Counter()
        self._read: dict[Value, int] = {}
        self.work: dict[tuple[str, str], Work] = defaultdict(Work)
        self.of_nodes: dict[Node, NodeWork] = {}
        for node in nodes:
            if node.kind not in _MOVES_NOTHING:
                self._count(node)

    def kernels(self) -> list[Kernel]:
        """Returns the operations that access memory, equal ones together."""
        return [Kernel(*key, times) for key, times in self._kernels.items()]

    def _count(self, node: Node) -> None:
        work, number = self.work[node.part, node.phase], self._flops(node)
        source: Any = node.source
        useful = 0.0
        if number:
            work.flops += number * node.times
            unsplit = self._unsplit(node, number) * node.times
            work.unsplit_flops += unsplit
            if source.name.split("/gradients/")[0] in self._run.lowering.selecting:
                work.selection_flops += number * node.times
            else:
                work.useful_flops += unsplit
                useful = unsplit
        read = sum(value.bytes for value in node.inputs)
        alone = _moved(node, read) + 2 * einsum_copies.size(node)
        self.of_nodes[node] = NodeWork(number * node.times, useful, alone * node.times)
        fused = 0 if _is_fused(node) else _moved(node, sum(map(self._bytes_read, node.inputs)))
        dtype = node.operation.inputs[0].dtype.base_dtype.name if node.inputs else ""
        self._kernels[node.kind, node.part, node.phase, number, fused, alone, dtype] += node.times

    def _bytes_read(self, value: Value) -> int:
        """Returns what a reader of a tensor reads from memory."""
        node = value.node
        if value not in self._read:
            size = value.bytes
            if node.inputs and node.kind != "ReadVariableOp":
                if _is_fused(node):
                    size = sum(map(self._bytes_read, node.inputs))
                elif node.kind in ALIASES:
                    size = min(size, self._bytes_read(node.inputs[0]))
            self._read[value] = size
        return self._read[value]

    def _flops(self, node: Node) -> int:
        """Returns the FLOPs; the first operation of one with `multiply_adds` has all of its."""
        number = flops.flops(node)
        source: Any = node.source
        if number or source in self._products or not hasattr(source, "multiply_adds"):
            return number
        if source in self._counted:
            return 0
        self._counted.add(source)
        shape = source.outputs[0].shape
        return 2 * source.multiply_adds * self._run.mesh.slice_size(shape) // shape.size

    def _unsplit(self, node: Node, number: int) -> float:
        """Returns the FLOPs of one device if the whole mesh did each multiply-add once."""
        source: Any = node.source
        devices = self._run.mesh.size
        if isinstance(source, mtf.EinsumOperation):
            dims = {dim for x in source.inputs for dim in x.shape.dims}
            whole = 2 * math.prod(dim.size for dim in dims) * (len(source.inputs) - 1)
            return whole / devices
        shape = source.outputs[0].shape
        return number * shape.size / (self._run.mesh.slice_size(shape) * devices)


def _moved(node: Node, read: int) -> int:
    """Returns the bytes that an operation reads and writes, of operands of `read` bytes."""
    written = sum(value.bytes for value in node.outputs)
    return written + (min(read, written) if node.kind in _READS_PART else read)


def _is_fused(node: Node) -> bool:
    """Returns whether the only reader of an operation's result computes it where it needs it."""
    if node.kind not in _FUSED or len(node.outputs) != 1:
        return False
    readers = _readers(node.outputs[0])
    if len(readers) != 1:
        return False
    reader = readers[0]
    is_near = (reader.part, reader.phase) == (node.part, node.phase)
    return is_near and reader.kind in _FUSED | _REDUCTIONS


def _readers(value: Value) -> list[Node]:
    """Returns the operations that read a tensor, also another view of it."""
    found: list[Node] = []
    for reader in value.readers:
        if reader.kind in ALIASES:
            found += [node for output in reader.outputs for node in _readers(output)]
        else:
            found.append(reader)
    return found
