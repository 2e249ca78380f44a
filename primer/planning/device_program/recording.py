"""A lowering that records which Mesh-TensorFlow operation made which TensorFlow operations."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.cost import products


class Span(NamedTuple):
    """The TensorFlow operations that one Mesh-TensorFlow operation was lowered to.

    Attributes:
        operation: the Mesh-TF operation.
        start: the number of TensorFlow operations before its first one.
        end: the number of TensorFlow operations up to its last one. That of a loop encloses those
            of the operations in its body.
    """

    operation: mtf.Operation
    start: int
    end: int


def with_bodies(operations: Iterable[mtf.Operation]) -> Iterator[mtf.Operation]:
    """Yields operations in the order of their lowering, those of a loop before the loop itself."""
    for operation in operations:
        if isinstance(operation, mtf.WhileLoopOperation):
            yield from with_bodies(operation._cond_ops)
            yield from with_bodies(operation._body_ops)
        if isinstance(operation, mtf.Operation):  # Not a pseudo operation (`loop_iterations`).
            yield operation


class RecordingLowering(mtf.Lowering):
    """Lowers as Mesh-TF's class does.

    Attributes:
        spans: of all operations, in the order in which their lowering ended.
        exported: the TensorFlow tensors that the step reads, such as the loss.
        original_operations: all operations before equal variables were stacked.
        original_variables: the variables then.
        selecting: names of the products of the forward pass with a tensor that selects entries of
            others (`products.selections`).
    """

    def __init__(
        self, graph: mtf.Graph, mesh_to_impl: Any, autostack: bool = True, log_file: Any = None
    ) -> None:
        """See base class; `log_file` has no effect."""
        del log_file
        self.graph, self.mesh_to_impl = graph, mesh_to_impl
        self.spans: list[Span] = []
        self.exported: list[tf.Tensor] = []
        self.original_operations = list(with_bodies(graph.operations))
        self.original_variables = list(graph.all_variables)
        self.selecting = self._selecting()
        if autostack:
            self.autostack()
        for operation in with_bodies(graph.operations):
            self._record_lowering(operation)
        super().__init__(graph, mesh_to_impl, autostack=False)

    def export_to_tf_tensor(self, x: mtf.Tensor) -> tf.Tensor:
        """See base class."""
        tensor = super().export_to_tf_tensor(x)
        self.exported.append(tensor)
        return tensor

    def results(self) -> list[tf.Operation]:
        """Returns the TensorFlow operations that a step runs: all others exist only for them."""
        return [*(tensor.op for tensor in self.exported), *self.operations.values()]

    def _selecting(self) -> set[str]:
        forward = [o for o in self.original_operations if "/gradients/" not in o.name]
        selections = products.selections(forward)
        return {o.name for o in forward if any(x in selections for x in o.inputs)}

    def _record_lowering(self, operation: mtf.Operation) -> None:
        """Makes an operation add its span when it is lowered."""
        lower = operation.lower

        def recorded_lower(lowering: mtf.Lowering) -> None:
            start = tf.get_default_graph().version
            lower(lowering)
            self.spans.append(Span(operation, start, tf.get_default_graph().version))

        operation.lower = recorded_lower


class LoweredGraph(Protocol):
    """A graph whose lowering was recorded.

    Attributes:
        model: the Mesh-TF model.
        graph: the TensorFlow graph.
        mesh: the mesh that lowered it.
        lowering: the lowering, with the Mesh-TF graph.
    """

    model: Any
    graph: tf.Graph
    mesh: Any
    lowering: RecordingLowering
