"""Operations of a graph as the body of a TensorFlow function."""

from collections.abc import Mapping, Sequence

import tensorflow.compat.v1 as tf
from tensorflow.core.framework import function_pb2, node_def_pb2


def function_def(
    name: str,
    operations: Sequence[tf.Operation],
    nodes: Mapping[str, node_def_pb2.NodeDef],
    inputs: Sequence[tf.Tensor],
    outputs: Sequence[tf.Tensor],
) -> function_pb2.FunctionDef:
    """Returns a function that computes operations of a graph.

    Args:
        name: the name of the function.
        operations: the body. All of them run in every call.
        nodes: the graph's nodes by name; at least those of the operations.
        inputs: the tensors of other operations that the body reads, in the order of arguments.
        outputs: the tensors of the body that the function returns.
    """
    made = function_pb2.FunctionDef()
    made.signature.name = name
    made.signature.is_stateful = True
    references = {}
    for number, tensor in enumerate(inputs):
        made.signature.input_arg.add(name=f"in_{number}", type=tensor.dtype.as_datatype_enum)
        references[tensor.name] = f"in_{number}"
    body = {operation.name for operation in operations}
    for operation in operations:
        made.node_def.append(_node(operation, nodes[operation.name], body, references))
    for number, tensor in enumerate(outputs):
        made.signature.output_arg.add(name=f"out_{number}", type=tensor.dtype.as_datatype_enum)
        made.ret[f"out_{number}"] = _reference(tensor, references)
    for number, operation in enumerate(_effects(operations)):
        made.signature.control_output.append(f"done_{number}")
        made.control_ret[f"done_{number}"] = operation.name
    return made


def _node(operation, node, body, references):
    """Returns the node of an operation in the body."""
    made = node_def_pb2.NodeDef(name=node.name, op=node.op)
    for key, value in node.attr.items():
        if key != "_class":  # Names operations, perhaps outside, that share its device.
            made.attr[key].CopyFrom(value)
    made.input.extend(_reference(tensor, references) for tensor in operation.inputs)
    controls = {control.name for control in operation.control_inputs} & body
    made.input.extend(f"^{name}" for name in sorted(controls))
    if _is_widened_product(operation, body):
        made.op = "BatchMatMulV3"
        made.input[:2] = [_reference(t.op.inputs[0], references) for t in operation.inputs]
        del made.attr["T"]
        made.attr["Ta"].type = made.attr["Tb"].type = tf.bfloat16.as_datatype_enum
        made.attr["Tout"].type = tf.float32.as_datatype_enum
    return made


def _is_widened_product(operation, body):
    """Whether a product is of matrices that were widened from bfloat16 for it.

    XLA multiplies the narrow ones and sums in float32, as TensorFlow's own kernels cannot.
    """
    return operation.type == "BatchMatMulV2" and all(
        tensor.op.type == "Cast"
        and tensor.op.name in body
        and (tensor.op.inputs[0].dtype, tensor.dtype) == (tf.bfloat16, tf.float32)
        for tensor in operation.inputs
    )


def _reference(tensor, references):
    """Returns how nodes of the body name a tensor: "operation:output:number in the output"."""
    if tensor.name not in references:
        first = 0
        for output in tensor.op.op_def.output_arg:
            size = _size(tensor.op, output)
            if tensor.value_index < first + size:
                place = f"{output.name}:{tensor.value_index - first}"
                references[tensor.name] = f"{tensor.op.name}:{place}"
                break
            first += size
    return references[tensor.name]


def _size(operation, output):
    """Returns the number of tensors of an output."""
    if output.number_attr:
        return operation.get_attr(output.number_attr)
    if output.type_list_attr:
        return len(operation.get_attr(output.type_list_attr))
    return 1


def _effects(operations):
    """Returns the operations that change variables; those in loops run because their loop does."""
    return [
        operation
        for operation in operations
        if operation.op_def.is_stateful
        and operation.type != "ReadVariableOp"
        and operation._get_control_flow_context() is None
    ]
