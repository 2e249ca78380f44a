"""A fingerprint of a TensorFlow graph: operations, shapes and control flow, but not names.

Every operation gets a digest of its type, its plain attributes, the types and shapes of its
outputs, the digests of its inputs in their order, and those of its control inputs in any order.
The fingerprint of the graph is the sorted list of these digests, hashed. Graphs with equal
fingerprints apply the same operations to the same constants; the fingerprint does not distinguish
two inputs or two variables of the same type and shape.
"""

import collections
import hashlib

# Attributes with names or with the placement of an operation.
_IGNORED_ATTRIBUTES = {"container", "shared_name", "_class", "_output_shapes", "debug_name"}
# Back edges of loops: the digest of the target is needed before that of the source exists.
_BACK_EDGES = {"NextIteration", "RefNextIteration"}


def fingerprint(graph) -> dict:
    """Describes a `tf.Graph`.

    Args:
        graph: the complete graph.

    Returns:
        A dict with "operations", {operation type: count}, and "digest", 16 hexadecimal digits.
    """
    operations = graph.get_operations()
    library = graph.as_graph_def().library.function
    functions = {function.signature.name: function for function in library}
    digests = _digests(operations, functions)
    joined = "\n".join(sorted(digests[operation] for operation in operations))
    types = collections.Counter(operation.type for operation in operations)
    return {"operations": dict(sorted(types.items())), "digest": _hash(joined)}


def _digests(operations, functions):
    digests = {}
    for first in operations:
        stack = [first]
        while stack:
            operation = stack[-1]
            missing = [source for source in _sources(operation) if source not in digests]
            if operation in digests or not missing:
                stack.pop()
                digests.setdefault(operation, _digest(operation, digests, functions))
            else:
                stack.extend(missing)
    return digests


def _sources(operation):
    """Returns the operations that an operation depends on, without back edges."""
    if operation.type in ("Merge", "RefMerge"):
        return [t.op for t in operation.inputs if t.op.type not in _BACK_EDGES]
    return [*(t.op for t in operation.inputs), *operation.control_inputs]


def _digest(operation, digests, functions):
    inputs = [
        f"{digests.get(tensor.op, tensor.op.type)}:{tensor.value_index}"
        for tensor in operation.inputs
    ]
    control = sorted(digests.get(source, source.type) for source in operation.control_inputs)
    outputs = [f"{tensor.dtype.name}{tensor.shape}" for tensor in operation.outputs]
    attributes = _attributes(operation.node_def, functions)
    return _hash(repr((operation.type, attributes, inputs, control, outputs)))


def _attributes(node, functions):
    """Returns the attributes of a NodeDef that determine its computation, as text."""
    found = []
    for name, value in sorted(node.attr.items()):
        kind = value.WhichOneof("value")
        if kind == "func":
            found.append(f"{name}={_body(functions.get(value.func.name), functions)}")
        elif name not in _IGNORED_ATTRIBUTES and not _is_text(value, kind):
            found.append(f"{name}={value.SerializeToString(deterministic=True).hex()}")
    return found


def _body(function, functions):
    """Returns a hash of the operations of a function, in their order."""
    nodes = function.node_def if function else ()
    return _hash(repr([(node.op, _attributes(node, functions)) for node in nodes]))


def _is_text(value, kind):
    """Returns whether an attribute is text, which is mostly a name of a variable or file."""
    if kind == "tensor":
        return value.tensor.dtype == 7  # DT_STRING
    return kind == "s" or (kind == "list" and bool(value.list.s or value.list.func))


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]
