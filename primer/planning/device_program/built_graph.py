"""The peak memory of a step of a TensorFlow graph that is built already, as that of a run.

Nothing is lowered again, and Mesh-TensorFlow's graph is not needed: the operations that the step
runs, the order in which TensorFlow's executor takes them, and the life of each tensor say it. On
CPUs it is that of all devices of a mesh together; they share the machine's memory.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.planning.device_program import einsum_copies, operations, schedule
from primer.planning.device_program.liveness import Liveness
from primer.planning.device_program.operations import Loop, Node
from primer.planning.device_program.parts import FORWARD
from primer.runtime.callbacks import MemoryNeed

_VARIABLES = ("VarHandleOp", "VariableV2")


def peak(
    operations_of_graph: Sequence[tf.Operation],
    results: Iterable[tf.Operation],
    counts: Callable[[tf.Operation], bool] = lambda operation: True,
) -> MemoryNeed:
    """Returns the peak of a step. It only reads the graph: a thread may call it.

    Args:
        operations_of_graph: all operations, in the order in which they were built.
        results: what the step runs, with all that this needs.
        counts: whether an operation's results are in the memory in question.
    """
    needed = operations.needed_by(results)
    loops = _loops(operations_of_graph, needed)
    nodes = _nodes(operations_of_graph, needed, loops, counts)
    variables = {
        node.operation.name: _variable_bytes(node.operation)
        for node in nodes
        if node.kind in _VARIABLES and counts(node.operation)
    }
    return MemoryNeed(variables, _most(Liveness(schedule.as_ready(nodes), loops), counts))


def _most(liveness: Liveness, counts: Callable[[tf.Operation], bool]) -> int:
    """Returns the most bytes at once: `replay.Replay` in less time, without kinds and parts."""
    changes = [0] * (len(liveness.order) + 1)
    replaced = {buffer.replaces for buffer in liveness.buffers}
    for buffer in liveness.buffers:
        changes[buffer.start] += buffer.bytes
        if buffer not in replaced:
            changes[buffer.end + 1] -= buffer.bytes
        if buffer.replaces:
            changes[buffer.start] -= buffer.bytes
    most = now = 0
    for node, change in zip(liveness.order, changes, strict=False):
        now += change
        copies = einsum_copies.size(node) if node.kind == "Einsum" and counts(node.operation) else 0
        most = max(most, now + copies)
    return most


def _nodes(
    operations_of_graph: Sequence[tf.Operation],
    needed: Collection[tf.Operation],
    loops: Sequence[Loop],
    counts: Callable[[tf.Operation], bool],
) -> list[Node]:
    known: dict[tf.Operation, Node] = {}
    for index, operation in enumerate(operations_of_graph):
        if operation in needed:
            loop = next((loop for loop in reversed(loops) if loop.start <= index < loop.end), None)
            node = Node(index, operation, None, "", FORWARD, 1, loop)
            node.outputs = [operations.value_of(node, tensor) for tensor in operation.outputs]
            if not counts(operation):
                for value in node.outputs:
                    value.bytes = 0
            known[operation] = node
    for node in known.values():
        for tensor in node.operation.inputs:
            value = known[tensor.op].outputs[tensor.value_index]
            node.inputs.append(value)
            value.readers.append(node)
    return list(known.values())


def _loops(
    operations_of_graph: Sequence[tf.Operation], needed: Collection[tf.Operation]
) -> list[Loop]:
    """Returns the loops, outer ones first; the operations of one are neighbours in the graph."""
    ranges: dict[object, list[int]] = {}
    for index, operation in enumerate(operations_of_graph):
        if operation not in needed:
            continue
        # To TensorFlow an Exit belongs to what is around the loop.
        inside = operation.inputs[0].op if operation.type == "Exit" else operation
        context = inside._get_control_flow_context()
        while context is not None:
            if context.IsWhileContext():
                ranges.setdefault(context, []).append(index)
            context = context.outer_context
    found = [Loop(min(numbers), max(numbers) + 1) for numbers in ranges.values()]
    return sorted(found, key=lambda loop: (loop.start, -loop.end))


def _variable_bytes(operation: tf.Operation) -> int:
    shape = tf.TensorShape(operation.get_attr("shape"))
    sizes = shape.as_list() if shape.rank is not None else []
    return mtf.list_product([size or 0 for size in sizes]) * operation.get_attr("dtype").size
