"""What the graph of an input pipeline tells: a digest of its operations, and the files it names.

TensorFlow saves the position of a pipeline together with the pipeline's graph, and a restored
position continues that graph, not the one that was built. Equal digests mean that both are the
same.
"""

import functools
import hashlib
import os

import tensorflow.compat.v1 as tf

# Attributes that hold names which TensorFlow counts over the process, or the place of an operation.
_IGNORED = frozenset({"shared_name", "container", "_class", "_output_shapes"})


def digest(graph: tf.GraphDef) -> str:
    """Returns a hash that is equal for graphs of the same operations and constants.

    The names of functions do not count: TensorFlow numbers them by all functions of the process.
    """
    functions = {function.signature.name: function for function in graph.library.function}

    @functools.cache
    def body(name):
        function = functions.get(name)
        if function is None:
            return name
        arguments = [(a.name, a.type) for a in function.signature.input_arg]
        nodes = [_describe(node, body) for node in function.node_def]
        # Arguments may be named after the function.
        return _hash(repr((arguments, nodes, sorted(function.ret.items()))).replace(name, ""))

    return _hash(repr([_describe(node, body) for node in graph.node]))


def named_files(graph: tf.GraphDef) -> list[str]:
    """Returns the local files whose paths are constants of the graph or its functions, sorted."""
    nodes = [*graph.node, *(n for function in graph.library.function for n in function.node_def)]
    texts = (text for node in nodes for text in _constant_texts(node))
    paths = {text.decode(errors="surrogateescape") for text in texts if os.sep.encode() in text}
    return sorted(path for path in paths if _is_file(path))


def _describe(node, body):
    attributes = [
        (name, _value(value, body))
        for name, value in sorted(node.attr.items())
        if name not in _IGNORED
    ]
    return node.name, node.op, list(node.input), attributes


def _value(value, body):
    """Returns an attribute as plain data, with functions replaced by their bodies."""
    kind = value.WhichOneof("value")
    if kind == "func":
        return _function(value.func, body)
    if kind == "list" and value.list.func:
        return [_function(function, body) for function in value.list.func]
    return value.SerializeToString(deterministic=True)


def _function(function, body):
    attributes = [(name, _value(v, body)) for name, v in sorted(function.attr.items())]
    return body(function.name), attributes


def _constant_texts(node):
    """Returns the elements of a constant of strings; none for another operation."""
    if node.op != "Const" or node.attr["dtype"].type != tf.string.as_datatype_enum:
        return []
    return tf.make_ndarray(node.attr["value"].tensor).ravel().tolist()


def _is_file(path):
    try:
        return os.path.isfile(path)
    except ValueError:  # A text with a null character.
        return False


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]
