"""The profile of a step: its operations with their time, layer, phase, FLOPs and bytes."""

import dataclasses
from typing import Any

import tensorflow.compat.v1 as tf

from primer.common.class_names import class_name
from primer.cost import owners
from primer.planning.device_program.operations import Node, Step
from primer.planning.device_program.recording import LoweredGraph
from primer.planning.device_program.work import NodeWork, WorkCount
from primer.profiling import form, trace
from primer.profiling import protocol as protocols
from primer.runtime.training.profiling.timed_steps import TimedSteps

# Parts besides those of `planning.device_program.parts`: what reads the batch, and what is outside
# of Mesh-TF's graph, such as the summaries and the count of steps.
INPUT, OUTSIDE = "input", "outside"
OTHER = "other"  # Their phase.
_NO_WORK = NodeWork(0, 0.0, 0)


@dataclasses.dataclass(frozen=True)
class Operation:
    """A TensorFlow operation of the step; all numbers are those of one step.

    Attributes:
        name: its name in the graph.
        kind: its type.
        part: the layer, as "block_000/layer_001", or the part of the model outside the stack.
        phase: a value of `parts.PHASES`, or OTHER.
        form: what it is applied to, as "[8,128,512] [512,2048]"; of an Einsum with its equation.
        dtype: the type of its first operand.
        times: how often it ran.
        seconds: in all runs.
        flops: 2 for each multiply-add of products, 0 of other operations.
        useful_flops: those without products with one-hot tensors and without what devices repeat.
        bytes: its operands and results, and the copies that an Einsum makes of them.
    """

    name: str
    kind: str
    part: str
    phase: str
    form: str
    dtype: str
    times: int
    seconds: float
    flops: float
    useful_flops: float
    bytes: float


@dataclasses.dataclass(frozen=True)
class Profile:
    """The profile of a step.

    Attributes:
        protocol: how it was measured, and the times of whole steps.
        parts: the parts of the model, in its order.
        classes: {layer: the name of its class}.
        operations: the operations that ran.
        notes: what the numbers do not include, as sentences.
    """

    protocol: protocols.Protocol
    parts: list[str]
    classes: dict[str, str]
    operations: list[Operation]
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The sum of the operations' times."""
        return sum(operation.seconds for operation in self.operations)

    @property
    def flops(self) -> float:
        """The FLOPs of all products of a step."""
        return sum(operation.flops for operation in self.operations)

    @property
    def useful_flops(self) -> float:
        """The FLOPs of the products that `primer.cost` counts."""
        return sum(operation.useful_flops for operation in self.operations)

    @property
    def product_seconds(self) -> float:
        """The time of the products."""
        return sum(operation.seconds for operation in self.operations if operation.flops)


def of_steps(graph: LoweredGraph, steps: TimedSteps, setting: protocols.Setting) -> Profile:
    """Returns the profile of a graph; measures what the machine can do, too.

    Args:
        graph: the graph.
        steps: its timed and traced steps.
        setting: what they were run with.
    """
    step = Step(graph)
    work = WorkCount(graph, step.nodes).of_nodes
    nodes = {node.operation.name: node for node in step.nodes}
    found = trace.of_steps(steps.traces)
    operations = [
        _operation(measured, nodes.get(measured.name), work, graph.graph)
        for measured in found.operations
    ]
    layers = owners.layers_by_name(graph.model)
    return Profile(
        protocols.measure(setting, steps, found),
        [INPUT, *step.parts.names, OUTSIDE],
        {name: class_name(layer) for name, layer in layers.items()},
        sorted(operations, key=lambda operation: -operation.seconds),
        _notes(found, step),
    )


def _operation(
    measured: trace.OperationTime, node: Node | None, work: dict[Node, NodeWork], graph: tf.Graph
) -> Operation:
    operation: Any = node.operation if node else _known(graph, measured.name)
    done = work.get(node, _NO_WORK) if node else _NO_WORK
    kind = operation.type if operation else measured.kind or "TensorFlow's own"
    part, phase = (node.part, node.phase) if node else (OUTSIDE, OTHER)
    if kind.startswith("Iterator"):
        part, phase = INPUT, OTHER
    inputs = list(operation.inputs) if operation else []
    return Operation(
        name=measured.name,
        kind=kind,
        part=part,
        phase=phase,
        form=form.of_operation(operation) if operation else "",
        dtype=inputs[0].dtype.base_dtype.name if inputs else "",
        times=measured.times,
        seconds=measured.seconds,
        flops=done.flops,
        useful_flops=done.useful_flops,
        bytes=done.bytes,
    )


def _known(graph: tf.Graph, name: str) -> tf.Operation | None:
    try:
        return graph.get_operation_by_name(name)
    except (KeyError, ValueError):
        return None


def _notes(found: trace.Trace, step: Step) -> list[str]:
    notes = []
    if found.has_gpu:
        notes.append(
            "A GPU computes after an operation has ended: the times of its operations are those in "
            "which the processor launches them."
        )
    if not all(loop.is_known for loop in step.loops):
        notes.append("The FLOPs and bytes of a loop of unknown length count once.")
    return notes
