"""The copies of an Einsum are what TensorFlow allocates besides its result."""

import pytest
import tensorflow.compat.v1 as tf

from primer.planning.device_program import einsum_copies, measured_step
from primer.planning.device_program.operations import Node, Value

SIZES = {"b": 4, "q": 64, "m": 64, "h": 4, "k": 32, "d": 128, "f": 96}
# Into buffers besides, a product packs blocks of its operands: little of several small matrices,
# up to a whole operand of a large one.
PACKED, PACKED_WHOLE = 2**16 + 2**15, 2**17 + 2**16


def node_and_allocated(equation):
    """Returns the operation of an equation, and the bytes that it allocates."""
    names = equation.split("->")[0].split(",")
    with tf.Graph().as_default() as graph:
        tensors = [tf.random_uniform([SIZES[index] for index in name]) for name in names]
        result = tf.raw_ops.Einsum(inputs=tensors, equation=equation)
        with tf.Session(config=measured_step.one_thread()) as sess:
            stats = measured_step._traced(sess, result.op)
        operation = graph.get_operation_by_name(result.op.name)
    node = Node(0, operation, None, "", "", 1, None)
    for tensors, values in ((operation.inputs, node.inputs), (operation.outputs, node.outputs)):
        for tensor in tensors:
            values.append(Value(node, 4 * tensor.shape.num_elements(), tuple(tensor.shape)))
    (ran,) = (n for d in stats.dev_stats for n in d.node_stats if n.node_name == operation.name)
    records = [record for memory in ran.memory for record in memory.allocation_records]
    return node, sum(max(record.alloc_bytes, 0) for record in records)


@pytest.mark.parametrize(
    "equation, copied, packed",
    [
        ("bqd,df->bqf", (), PACKED_WHOLE),
        ("bqd,fd->bqf", (), PACKED_WHOLE),
        # Attention: queries and keys; values and the result.
        ("bqhk,bmhk->bhqm", (0, 1), PACKED),
        ("bhqm,bmhk->bqhk", (1, "result"), PACKED),
        ("bqd,bqf->fd", ("result",), PACKED_WHOLE),
    ],
)
def test_copies_are_what_tensorflow_allocates(equation, copied, packed):
    node, allocated = node_and_allocated(equation)
    tensors = {0: node.inputs[0], 1: node.inputs[1], "result": node.outputs[0]}
    assert einsum_copies.size(node) == sum(tensors[name].bytes for name in copied)
    others = allocated - node.outputs[0].bytes - einsum_copies.size(node)
    assert 0 <= others <= packed


def test_other_operations_make_none():
    with tf.Graph().as_default():
        operation = tf.add(1.0, 2.0).op
    assert einsum_copies.size(Node(0, operation, None, "", "", 1, None)) == 0
