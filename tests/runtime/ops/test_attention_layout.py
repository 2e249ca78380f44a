"""Attention with reordered dimensions equals Mesh-TF's, which a TPU keeps."""

import types

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention

from primer.common import build_mode
from tests.layers import helpers

BATCH, LENGTH, MEMORY, HEADS, KEY, VALUE = 2, 4, 6, 2, 8, 8
DRAWN = np.random.default_rng(0)
Q = DRAWN.normal(size=[BATCH, LENGTH, HEADS, KEY]).astype(np.float32)
K = DRAWN.normal(size=[BATCH, MEMORY, HEADS, KEY]).astype(np.float32)
V = DRAWN.normal(size=[BATCH, MEMORY, HEADS, VALUE]).astype(np.float32)
BIAS = DRAWN.normal(size=[LENGTH, MEMORY, HEADS]).astype(np.float32)
NO_DROPOUT = types.SimpleNamespace(train=False, model=types.SimpleNamespace(layout=None))


def attended(b, bias, one_key_head=False, **more):
    """Returns the outputs of attention with a bias as a Tensor."""
    q = b.put(Q, "batch", "length", "heads", "key")
    k, v = (
        b.put(array[:, :, 0], "batch", "memory", name)
        if one_key_head
        else b.put(array, "batch", "memory", "heads", name)
        for array, name in ((K, "key"), (V, "value"))
    )
    dims = {dim.name: dim for x in (q, k, v) for dim in x.shape.dims}
    return attention.attention(
        q, k, v, dims["memory"], dims["key"], dims["value"], bias, context=NO_DROPOUT, **more
    )


def attend(mode, mesh_shape="", layout="", tpu=False, **more):
    """Returns the outputs, their shape, and the names of the logits' dimensions."""
    with helpers.bench(mesh_shape, layout) as b, build_mode.building(mode, for_tpu=tpu):
        found = attended(b, b.put(BIAS, "length", "memory", "heads"), **more)
        products = (x for x in b.graph.operations if isinstance(x, mtf.EinsumOperation))
        shapes = [product.outputs[0].shape.dimension_names for product in products]
        logits = next(names for names in shapes if "memory" in names and "length" in names)
        return b.run({"y": found})["y"], found.shape, logits


MESHES = [
    ("", ""),
    ("rows:2", "batch:rows"),
    ("columns:2", "heads:columns"),
    ("rows:2,columns:2", "batch:rows,memory:columns"),
    ("rows:2", "length:rows"),
]


@pytest.mark.parametrize("mode", ["train", "eval", "infer"])
@pytest.mark.parametrize("mesh_shape, layout", MESHES)
def test_outputs_equal_mesh_tensorflows(mode, mesh_shape, layout):
    expected, shape, _ = attend("train", tpu=True)
    found, own, logits = attend(mode, mesh_shape, layout)
    assert own == shape
    assert logits == ["batch", "heads", "length", "memory"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_one_head_of_keys_for_several_of_queries():
    expected, shape, stock = attend("train", tpu=True, one_key_head=True)
    found, own, logits = attend("train", one_key_head=True)
    assert own == shape
    assert stock == ["batch", "length", "heads", "memory"]
    assert logits == ["batch", "heads", "length", "memory"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_an_extra_logit_takes_its_share():
    expected, _, _ = attend("train", tpu=True, extra_logit=0.5)
    found, _, _ = attend("eval", extra_logit=0.5)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_tpus_keep_the_stock_order():
    assert attend("eval", tpu=True)[2] == ["batch", "length", "heads", "memory"]


def gradient_of_positions(mesh_shape, layout, tpu):
    """Returns the gradient of a bias of positions that a mask is added to, and sizes of Transposes.

    The mask has the batch, which the bias has not.
    """
    with helpers.bench(mesh_shape, layout) as b, build_mode.building("train", for_tpu=tpu):
        positions = b.put(BIAS, "length", "memory", "heads")
        mask = b.put(np.zeros([BATCH, LENGTH, MEMORY], np.float32), "batch", "length", "memory")
        found = attended(b, mtf.add(mask, positions))
        (gradient,) = mtf.gradients([mtf.reduce_sum(mtf.square(found))], [positions])
        value = b.run({"y": gradient})["y"]
        operations = [
            op for op in tf.get_default_graph().get_operations() if op.type == "Transpose"
        ]
        return value, [op.inputs[0].shape.num_elements() for op in operations]


@pytest.mark.parametrize("mesh_shape, layout", MESHES)
def test_the_gradient_of_a_bias_transposes_no_logits(mesh_shape, layout):
    expected, _ = gradient_of_positions("", "", tpu=True)
    found, sizes = gradient_of_positions(mesh_shape, layout, tpu=False)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    if not mesh_shape:
        assert BATCH * HEADS * LENGTH * MEMORY not in sizes
