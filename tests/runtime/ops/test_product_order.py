"""Einsums, sums and gradients of ReLUs are lowered to other operations with the same results."""

import contextlib

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common import build_mode
from tests.layers import helpers

DRAWN = np.random.default_rng(0)
X = DRAWN.normal(size=[2, 96, 64]).astype(np.float32)
DY = DRAWN.normal(size=[2, 96, 128]).astype(np.float32)
MATRIX, VECTOR = DY.reshape(192, 128), DY[0, 0]
MESHES = [("", ""), ("a:2", "batch:a"), ("a:2", "d:a"), ("a:2", "e:a"), ("a:2,b:2", "d:a,e:b")]


@contextlib.contextmanager
def built(mesh_shape="", layout="", tpu=False):
    """Yields the bench of a graph of training."""
    with helpers.bench(mesh_shape, layout) as b, build_mode.building("train", for_tpu=tpu):
        yield b


def kinds_of(b):
    """Returns the types of the TensorFlow operations, and the equations of Einsums."""
    operations = tf.get_default_graph().get_operations()
    equations = {op.get_attr("equation") for op in operations if op.type == "Einsum"}
    return {op.type for op in operations}, equations


@pytest.mark.parametrize("mesh_shape, layout", MESHES)
def test_the_gradient_of_a_weight_is_computed_in_the_weights_order(mesh_shape, layout):
    with built(mesh_shape, layout) as b:
        x, dy = b.put(X, "batch", "length", "d"), b.put(DY, "batch", "length", "e")
        weight = mtf.Shape([x.shape.dims[-1], dy.shape.dims[-1]])
        found = b.run({"dw": mtf.einsum([dy, x], weight)})["dw"]
        assert b"abc,abd->cd" in kinds_of(b)[1]
    np.testing.assert_allclose(found, np.einsum("bld,ble->de", X, DY), rtol=0, atol=1e-4)


def test_a_tpu_keeps_the_order_of_the_operands():
    with built(tpu=True) as b:
        x, dy = b.put(X, "batch", "length", "d"), b.put(DY, "batch", "length", "e")
        b.run({"dw": mtf.einsum([dy, x], mtf.Shape([x.shape.dims[-1], dy.shape.dims[-1]]))})
        assert b"abc,abd->dc" in kinds_of(b)[1]


@pytest.mark.parametrize("mesh_shape, layout", [("", ""), ("a:2", "d:a"), ("a:2", "e:a")])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_a_matrix_by_a_vector(mesh_shape, layout, dtype):
    """Integers have no product of their own in Mesh-TF."""
    matrix, vector = (np.round(8 * a).astype(dtype) for a in (MATRIX, VECTOR))
    with built(mesh_shape, layout) as b:
        m, v = b.put(matrix, "d", "e"), b.put(vector, "e")
        found = b.run({"y": mtf.einsum([m, v], m.shape - v.shape.dims[0])})["y"]
        assert ("Einsum" in kinds_of(b)[0]) == (dtype == np.float32)
    np.testing.assert_allclose(found, matrix @ vector, rtol=1e-5)


@pytest.mark.parametrize("mesh_shape, layout", MESHES)
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.int32])
def test_sums_over_leading_dimensions(mesh_shape, layout, dtype):
    whole = np.round(4 * DY)  # Exact in each type, and their sums in float32.
    with built(mesh_shape, layout) as b:
        x = mtf.cast(b.put(whole, "batch", "length", "e"), dtype)
        found = b.run({"y": mtf.cast(mtf.reduce_sum(x, output_shape=x.shape[2:]), tf.float32)})
        has_product = "MatMul" in kinds_of(b)[0]
    assert has_product == (dtype != tf.int32)
    expected = whole.sum((0, 1))
    np.testing.assert_allclose(found["y"], expected, atol=0.5 if dtype == tf.bfloat16 else 0)


@pytest.mark.parametrize("mesh_shape, layout", MESHES[:3])
def test_the_gradient_of_a_relu(mesh_shape, layout):
    x = np.where(np.abs(X) < 0.1, 0, X)  # At 0 it is 0, as Mesh-TF's.
    results = {}
    for tpu in (False, True):
        with built(mesh_shape, layout, tpu) as b:
            put = b.put(x, "batch", "length", "d")
            total = mtf.reduce_sum(mtf.square(mtf.relu(put)) * 0.5 + 3.0 * mtf.relu(put))
            results[tpu] = b.run({"dx": mtf.gradients([total], [put])[0]})["dx"]
            assert ("ReluGrad" in kinds_of(b)[0]) != tpu
    np.testing.assert_array_equal(results[False], results[True])
    np.testing.assert_allclose(results[False], np.where(x > 0, x + 3, 0), rtol=1e-6)
