"""The memory that a step needs besides its variables, by the life of each tensor.

A tensor lives from the operation that computes it to the last one that reads it. As in TensorFlow:

- operations that only look at a tensor in another way (ALIASES) allocate nothing; reading a
  variable neither;
- element-wise operations, and all-reduces, write their result over an operand of the same size that
  nothing reads after them (IN_PLACE);
- what a loop reads of the outside lives to its end; the values that it carries from one iteration
  to the next take the place of one another.

XLA needs less where it fuses element-wise operations.
"""

import dataclasses
from collections.abc import Sequence

from primer.planning.device_program.operations import Loop, Node, Value
from primer.planning.device_program.parts import FORWARD

ALIASES = frozenset(
    "Identity Reshape ExpandDims Squeeze StopGradient PreventGradient ReadVariableOp EnsureShape "
    "Switch NextIteration Unpack LoopCond".split()
)
ELEMENT_WISE = frozenset(
    "Add AddV2 AddN Sub Mul RealDiv Div DivNoNan FloorDiv FloorMod Maximum Minimum Pow Square Sqrt "
    "Rsqrt Reciprocal Inv SquaredDifference Neg Abs Sign Exp Expm1 Log Log1p Tanh TanhGrad Sigmoid "
    "SigmoidGrad Relu ReluGrad Relu6 Elu Erf Softplus Sin Cos Floor Round LogicalAnd LogicalOr "
    "LogicalNot SqrtGrad RsqrtGrad ReciprocalGrad BiasAdd IsFinite".split()
)
IN_PLACE = ELEMENT_WISE | {"CrossReplicaSum", "Softmax", "LogSoftmax", "Enter", "Merge", "Exit"}
_VARIABLES = frozenset({"VarHandleOp", "VariableV2", "VarIsInitializedOp", "NoOp"})


@dataclasses.dataclass(slots=True, eq=False)
class Buffer:
    """A tensor in memory.

    Attributes:
        value: the tensor.
        start: the position in the schedule of the operation that computes it.
        end: the position of the last operation that reads it.
        replaces: the buffer that it overwrites, or None.
        is_kept: whether the forward pass computes it and another phase of the step reads it.
    """

    value: Value
    start: int
    end: int
    replaces: "Buffer | None" = None
    is_kept: bool = False

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.value.bytes


class Liveness:
    """The buffers of a step.

    Args:
        order: the operations in the order in which they run (`schedule`).
        loops: the loops of the step.

    Attributes:
        order: as above.
        buffers: in the order in which they are allocated.
    """

    def __init__(self, order: Sequence[Node], loops: Sequence[Loop]) -> None:
        self.order = order
        self._position = {node: number for number, node in enumerate(self.order)}
        self._ends = {loop: self._end_of(loop) for loop in loops}
        self._buffer_of: dict[Value, Buffer] = {}
        self.buffers: list[Buffer] = []
        for node in self.order:
            self._add_outputs(node)
        for node in self.order:
            for value in self._read(node):
                self._extend(value, node)
        self._find_replaced()

    def buffer_of(self, value: Value) -> Buffer | None:
        """Returns the buffer that holds a tensor; None if it needs no memory of its own."""
        return self._buffer_of.get(value)

    def _add_outputs(self, node: Node) -> None:
        position = self._position[node]
        for value in node.outputs:
            if _is_alias(node):
                source = self._buffer_of.get(node.inputs[0])
                if source:
                    self._buffer_of[value] = source
            elif value.bytes and node.kind not in _VARIABLES:
                buffer = Buffer(value, position, position)
                self._buffer_of[value] = buffer
                self.buffers.append(buffer)

    def _read(self, node: Node) -> list[Value]:
        """Returns the tensors that an operation reads in time."""
        if node.kind == "Merge":
            return node.inputs[:1]  # The other one comes from the iteration before.
        return [*node.inputs, _last_of_loop(node)] if node.kind == "Exit" else node.inputs

    def _extend(self, value: Value, reader: Node) -> None:
        """Makes a tensor live until an operation reads it, or until the end of its loop."""
        buffer = self._buffer_of.get(value)
        if buffer is None:
            return
        buffer.end = max(buffer.end, self._position[reader])
        if reader.phase != FORWARD and buffer.value.node.phase == FORWARD:
            buffer.is_kept = True
        own = buffer.value.node.loop
        loop = reader.loop
        if loop is not own and loop is not None and not _is_carried(reader):
            for outer in self._ends:
                if outer.start <= reader.index < outer.end and not _has(outer, buffer.value.node):
                    buffer.end = max(buffer.end, self._ends[outer])

    def _end_of(self, loop: Loop) -> int:
        return max(self._position[node] for node in self.order if _has(loop, node))

    def _find_replaced(self) -> None:
        """Finds the operands that results overwrite."""
        taken: set[Buffer] = set()
        for buffer in self.buffers:
            node = buffer.value.node
            if node.kind not in IN_PLACE:
                continue
            for value in [_last_of_loop(node)] if node.kind == "Exit" else self._read(node):
                operand = self._buffer_of.get(value)
                if operand and _fits(operand, buffer) and operand not in taken:
                    buffer.replaces = operand
                    taken.add(operand)
                    break


def _fits(operand: Buffer, result: Buffer) -> bool:
    """Returns whether a result can overwrite an operand."""
    is_last = operand.end == result.start and operand is not result
    return is_last and operand.bytes == result.bytes and operand.value.node.kind != "Const"


def _is_alias(node: Node) -> bool:
    return node.kind in ALIASES or (node.kind == "Enter" and not _is_carried(node))


def _is_carried(node: Node) -> bool:
    """Returns whether an operation brings the first value of a loop's variable into it."""
    return node.kind == "Enter" and not node.operation.get_attr("is_constant")


def _has(loop: Loop, node: Node) -> bool:
    return loop.start <= node.index < loop.end


def _last_of_loop(leave: Node) -> Value:
    """Returns the value of a loop's variable after the last iteration.

    Args:
        leave: the Exit operation.
    """
    merge = leave.inputs[0].node.inputs[0].node
    return merge.inputs[1]
