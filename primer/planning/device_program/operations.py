"""The TensorFlow operations that a step runs on one device, each with its part, phase and count."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.planning.device_program.parts import OPTIMIZER, PHASES, UPDATE, Parts
from primer.planning.device_program.recording import LoweredGraph, Span


@dataclasses.dataclass(slots=True, eq=False)
class Value:
    """A tensor.

    Attributes:
        node: the operation that computes it.
        bytes: its size.
        shape: its shape on the device; None if it is no tensor, as the handle of a variable.
        readers: the operations that read it.
    """

    node: "Node"
    bytes: int
    shape: tuple[int, ...] | None
    readers: list["Node"] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, eq=False)
class Node:
    """A TensorFlow operation of a step.

    Attributes:
        index: its number in the order in which the graph was built.
        operation: the operation.
        source: the Mesh-TF operation that was lowered to it; None for the input and the schedule.
        part: the part of the model.
        phase: a value of `parts.PHASES`.
        times: how often a step runs it.
        loop: the innermost loop that it belongs to.
        inputs: what it reads.
        outputs: what it computes.
    """

    index: int
    operation: tf.Operation
    source: mtf.Operation | None
    part: str
    phase: str
    times: int
    loop: "Loop | None"
    inputs: list[Value] = dataclasses.field(default_factory=list)
    outputs: list[Value] = dataclasses.field(default_factory=list)

    @property
    def kind(self) -> str:
        """The type of the operation."""
        return self.operation.type


@dataclasses.dataclass(eq=False)
class Loop:
    """A loop of the step.

    Attributes:
        start, end: the numbers of its first operation and after its last one.
        trips: how often its body runs, all outer loops included.
        is_known: whether the graph says how often; else `trips` counts it as one.
    """

    start: int
    end: int
    trips: int = 1
    is_known: bool = True


class Step:
    """The operations of a step, without those whose results nothing reads.

    Args:
        run: the lowered graph.

    Attributes:
        nodes: in the order in which the graph was built, which is a valid order to run them in.
        parts: finds the part of a variable, too.
        loops: the loops, outer ones first.
    """

    def __init__(self, run: LoweredGraph) -> None:
        spans = run.lowering.spans
        self.parts = Parts(run.model, run.lowering.original_operations)
        operations = run.graph.get_operations()
        self.loops = _loops(spans, operations)
        sources = _sources(spans, len(operations))
        needed = needed_by(run.lowering.results())
        by_operation: dict[tf.Operation, Node] = {}
        for index, operation in enumerate(operations):
            if operation in needed:
                node = self._node(index, operation, sources[index])
                by_operation[operation] = node
        self.nodes = list(by_operation.values())
        for node in self.nodes:
            for tensor in node.operation.inputs:
                value = by_operation[tensor.op].outputs[tensor.value_index]
                node.inputs.append(value)
                value.readers.append(node)
        self.by_operation = by_operation
        self._place_what_was_not_lowered()

    def value(self, tensor: tf.Tensor) -> Value | None:
        """Returns the value of a tensor; None if the step does not compute it."""
        node = self.by_operation.get(tensor.op)
        return node.outputs[tensor.value_index] if node else None

    def _place_what_was_not_lowered(self) -> None:
        """Gives the input and the schedule, which are TensorFlow's, to their first reader."""
        for node in reversed(self.nodes):
            readers = [reader for value in node.outputs for reader in value.readers]
            if node.source is None and readers:
                first = min(readers, key=lambda reader: PHASES.index(reader.phase))
                node.part, node.phase = first.part, first.phase

    def _node(self, index: int, operation: tf.Operation, source: mtf.Operation | None) -> Node:
        part, phase = self.parts.of(source) if source else (OPTIMIZER, UPDATE)
        loop = next((loop for loop in self.loops[::-1] if loop.start <= index < loop.end), None)
        node = Node(index, operation, source, part, phase, loop.trips if loop else 1, loop)
        node.outputs = [value_of(node, tensor) for tensor in operation.outputs]
        return node


def value_of(node: Node, tensor: tf.Tensor) -> Value:
    """Returns the value of an output of an operation.

    Args:
        node: the operation.
        tensor: one of its outputs.
    """
    dtype = tensor.dtype.base_dtype
    if dtype in (tf.resource, tf.variant, tf.string) or tensor.shape.rank is None:
        return Value(node, 0, None)
    shape = tuple(size or 0 for size in tensor.shape.as_list())
    return Value(node, mtf.list_product(shape) * dtype.size, shape)


def _sources(spans: Iterable[Span], number: int) -> list[mtf.Operation | None]:
    """Returns the Mesh-TF operation of each TensorFlow operation, the innermost one."""
    sources: list[mtf.Operation | None] = [None] * number
    for span in sorted(spans, key=lambda span: span.start - span.end):
        sources[span.start : span.end] = [span.operation] * (span.end - span.start)
    return sources


def needed_by(results: Iterable[tf.Operation]) -> set[tf.Operation]:
    """Returns the operations that results depend on, and themselves."""
    needed: set[tf.Operation] = set()
    waiting = list(results)
    while waiting:
        operation = waiting.pop()
        if operation not in needed:
            needed.add(operation)
            waiting += [tensor.op for tensor in operation.inputs]
            waiting += operation.control_inputs
    return needed


def _loops(spans: Iterable[Span], operations: Sequence[tf.Operation]) -> list[Loop]:
    """Returns the loops, outer ones first."""
    loops: list[Loop] = []
    found = [s for s in spans if isinstance(s.operation, mtf.WhileLoopOperation)]
    for span in sorted(found, key=lambda span: (span.start, -span.end)):
        inner = [s for s in found if span.start <= s.start and s.end <= span.end and s is not span]
        trips = _trips(operations[span.start : span.end], inner, span.start)
        outer = [loop for loop in loops if loop.start <= span.start and span.end <= loop.end]
        factor = outer[-1].trips if outer else 1
        loops.append(Loop(span.start, span.end, factor * (trips or 1), trips is not None))
    return loops


def _trips(operations: Sequence[tf.Operation], inner: Iterable[Span], start: int) -> int | None:
    """Returns how often a loop runs whose condition is `counter < constant`, counting from 0."""
    covered = [range(span.start - start, span.end - start) for span in inner]
    for index, operation in enumerate(operations):
        if operation.type == "LoopCond" and not any(index in part for part in covered):
            condition = operation.inputs[0].op
            if condition.type == "Less":
                return _constant(condition.inputs[1])
    return None


def _constant(tensor: tf.Tensor) -> int | None:
    """Returns the value of a constant scalar, looked up through operations that pass it on."""
    operation = tensor.op
    while operation.type in ("Enter", "Identity", "Cast", "Reshape"):
        operation = operation.inputs[0].op
    value: Any = tf.get_static_value(operation.outputs[0])
    return None if value is None else int(value)
