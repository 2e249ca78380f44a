"""Adds to a graph the calls of compiled functions that compute what its operations compute."""

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow.compat.v1 as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from primer.runtime.compilation import function_body
from primer.runtime.compilation.segments import Segment


class Calls:
    """Calls of compiled segments, and copies of the operations that follow them.

    Args:
        graph: the graph that has the operations and gets the calls.
        segments, constants: as `segments.divide` returns them.
        fetched: the tensors whose values are asked for.
        name: the beginning of the names of the new operations.
    """

    def __init__(
        self,
        graph: tf.Graph,
        segments: Sequence[Segment],
        constants: set[tf.Operation],
        fetched: Iterable[tf.Tensor],
        name: str,
    ) -> None:
        self._graph, self._constants, self._name = graph, constants, graph.unique_name(name)
        self._nodes = {node.name: node for node in graph.as_graph_def().node}
        self._tensors: dict[str, tf.Tensor] = {}  # By the name of what they replace.
        self._operations: dict[tf.Operation, tf.Operation] = {}
        self._readers: dict[str, list[tf.Operation]] = {tensor.name: [] for tensor in fetched}
        self._fetched = set(self._readers)
        for segment in segments:
            for op in segment.operations:
                for tensor in op.inputs:
                    self._readers.setdefault(tensor.name, []).append(op)
        for number, segment in enumerate(segments):
            if segment.device is None:
                self._copy_followers(segment)
            else:
                self._call(segment, f"{self._name}_{number}")

    def replaced(self, leaf: Any) -> Any:
        """Returns what computes a tensor or operation compiled; itself, if nothing is compiled."""
        if isinstance(leaf, tf.Operation):
            return self._operations.get(leaf, leaf)
        return self._tensors.get(leaf.name, leaf)

    def _call(self, segment, name):
        """Adds the call of a compiled segment."""
        own = set(segment.operations)
        body = [*self._constants_of(segment.operations), *segment.operations]
        inside = own | set(body)
        inputs = _unique(t for op in body for t in op.inputs if t.op not in inside)
        inputs.sort(key=lambda tensor: tensor.dtype == tf.resource)
        outputs = [t for op in segment.operations for t in op.outputs if self._is_read(t, inside)]
        function = function_body.function_def(name, body, self._nodes, inputs, outputs)
        node = node_def_pb2.NodeDef(name=f"{name}/call", op="XlaLaunch", device=segment.device)
        node.attr["function"].func.name = name
        node.attr["Tconstants"].list.SetInParent()
        values = [tensor for tensor in inputs if tensor.dtype != tf.resource]
        node.attr["Targs"].list.type.extend(t.dtype.as_datatype_enum for t in values)
        node.attr["Nresources"].i = len(inputs) - len(values)
        node.attr["Tresults"].list.type.extend(t.dtype.as_datatype_enum for t in outputs)
        graph_def = graph_pb2.GraphDef(node=[node])
        graph_def.library.function.append(function)
        graph_def.versions.CopyFrom(self._graph.graph_def_versions)
        (call,) = self._imported(graph_def, {node.name: inputs})
        controls = {c for op in body for c in op.control_inputs} - inside - self._constants
        self._order_after(call, controls)
        self._operations.update(dict.fromkeys(segment.operations, call))
        for old, new in zip(outputs, call.outputs, strict=True):
            new.set_shape(old.shape)
            self._tensors[old.name] = new

    def _is_read(self, tensor, inside):
        """Whether a tensor of a body is fetched, or read by an operation outside."""
        if tensor.name in self._fetched:
            return True
        return any(reader not in inside for reader in self._readers.get(tensor.name, ()))

    def _constants_of(self, operations):
        """Returns the constants that operations read, each after those that it reads itself."""
        found: dict[tf.Operation, None] = {}

        def add(op):
            for tensor in op.inputs:
                if tensor.op in self._constants and tensor.op not in found:
                    add(tensor.op)
                    found[tensor.op] = None

        for op in operations:
            add(op)
        return list(found)

    def _copy_followers(self, segment):
        """Copies the operations of a segment that follow compiled ones."""
        copied: dict[str, tf.Operation] = {}
        for op in segment.operations:
            data = any(t.name in self._tensors or t.op.name in copied for t in op.inputs)
            if data or any(c in self._operations or c.name in copied for c in op.control_inputs):
                copied[op.name] = op
        if not copied:
            return
        graph_def = graph_pb2.GraphDef()
        graph_def.versions.CopyFrom(self._graph.graph_def_versions)
        for op in copied.values():
            node = graph_def.node.add()
            node.CopyFrom(self._nodes[op.name])
            node.name = f"{self._name}/{op.name}"
            node.attr.pop("_class", None)
        inputs = {f"{self._name}/{op.name}": list(op.inputs) for op in copied.values()}
        made = self._imported(graph_def, inputs, copied)
        for old, new in zip(copied.values(), made, strict=True):
            self._operations[old] = new
            self._tensors.update((t.name, n) for t, n in zip(old.outputs, new.outputs))
        for old, new in zip(copied.values(), made, strict=True):
            self._order_after(new, old.control_inputs)

    def _imported(self, graph_def, inputs, copied=()):
        """Adds nodes to the graph, which get their inputs here; returns the operations.

        Args:
            graph_def: the nodes.
            inputs: {name of a node: the tensors that it reads, in this graph's or a copied form}.
            copied: names of operations whose copies are among the nodes.
        """
        sources: dict[str, tf.Tensor] = {}
        for node in graph_def.node:
            node.input[:] = []
            for tensor in inputs[node.name]:
                if tensor.op.name in copied:
                    node.input.append(f"{self._name}/{tensor.name}")
                else:
                    key = f"{self._name}/in/{tensor.name}"
                    sources[key] = self._tensors.get(tensor.name, tensor)
                    node.input.append(key)
        with self._graph.as_default(), tf.device(None), tf.control_dependencies(None):
            names = [node.name for node in graph_def.node]
            return tf.import_graph_def(graph_def, sources, names, name="")

    def _order_after(self, op, controls):
        """Makes an operation wait for others, or for what computes them compiled."""
        op._add_control_inputs(_unique(self._operations.get(c, c) for c in controls))


def _unique(items):
    """Returns items without repetition, in their order; tensors cannot be members of a set."""
    return list({item.name: item for item in items}.values())
