"""Products of operands that were widened from bfloat16."""

import gin
import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common import build_mode
from primer.runtime.compilation.program import Program
from tests.layers import helpers

RANDOM = np.random.default_rng(0)
Q = RANDOM.normal(size=[2, 3, 2, 8]).astype(np.float32)
K = RANDOM.normal(size=[2, 5, 2, 8]).astype(np.float32)


def logits(b):
    """Returns the logits of attention, and the narrow queries and keys."""
    q = mtf.cast(b.put(Q, "batch", "length", "heads", "d_kv"), tf.bfloat16)
    k = mtf.cast(b.put(K, "batch", "memory", "heads", "d_kv"), tf.bfloat16)
    wide = [mtf.cast(x, tf.float32) for x in (q, k)]
    return mtf.einsum(wide, reduced_dims=[q.shape.dims[-1]]), q, k


def run(by_xla, mesh_shape="", layout=""):
    """Returns the logits, the gradients of their sum of squares, and the classes of operations."""
    with (
        helpers.bench(mesh_shape, layout) as b,
        build_mode.building("train"),
        build_mode.compiling(by_xla),
    ):
        found, q, k = logits(b)
        dq, dk = mtf.gradients([mtf.reduce_sum(mtf.square(found))], [q, k])
        kinds = {type(operation).__name__ for operation in b.graph.operations}
        wide = {"dq": mtf.cast(dq, tf.float32), "dk": mtf.cast(dk, tf.float32)}
        return b.run({"logits": found, **wide}), kinds


@pytest.mark.parametrize(
    "mesh_shape, layout", [("", ""), ("a:2", "heads:a"), ("a:2,b:2", "batch:a,d_kv:b")]
)
def test_the_product_is_that_of_the_widened_operands(mesh_shape, layout):
    expected, stock = run(False)
    found, kinds = run(True, mesh_shape, layout)
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=0, atol=1e-6)
    for name in ("dq", "dk"):  # Rounded to eight bits.
        np.testing.assert_allclose(found[name], expected[name], rtol=0.02, atol=0.1)
    assert "NarrowProduct" in kinds and "NarrowProduct" not in stock


def test_xla_gets_the_narrow_operands():
    with gin.unlock_config():
        gin.bind_parameter("compile.xla", True)
    with tf.Graph().as_default():
        check_narrow_operands()


def check_narrow_operands():
    narrow = [tf.cast(tf.placeholder(tf.float32, [2, 3, 4]), tf.bfloat16) for _ in range(2)]
    x, y = (tf.cast(value, tf.float32) for value in narrow)
    product_of_wide = tf.matmul(x, y, transpose_b=True)
    program = Program(product_of_wide, None, "the product")
    (function,) = tf.get_default_graph().as_graph_def().library.function
    product = {node.op: node for node in function.node_def}["BatchMatMulV3"]
    assert product.attr["Ta"].type == tf.bfloat16.as_datatype_enum
    assert product.attr["Tout"].type == tf.float32.as_datatype_enum
    feeds = dict(zip([value.op.inputs[0] for value in narrow], RANDOM.normal(size=[2, 2, 3, 4])))
    with tf.Session() as session:
        found, expected = program.run(session.run, feeds), session.run(product_of_wide, feeds)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
