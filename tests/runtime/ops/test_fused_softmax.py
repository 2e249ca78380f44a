"""The softmax and its gradient equal Mesh-TF's, which a TPU keeps, on any mesh."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common import build_mode
from tests.layers import helpers

# Masked as in attention; in a row that is masked completely, Mesh-TF's weights are 1 each.
LOGITS = np.random.default_rng(0).normal(scale=5, size=[4, 2, 8]).astype(np.float32)
LOGITS[1, :, 3:] = -1e9
LOGITS[2, 1] = -1e9


WEIGHTS = np.random.default_rng(1).normal(size=LOGITS.shape).astype(np.float32)
MESHES = [
    ("", ""),
    ("rows:2", "batch:rows"),
    ("columns:2", "memory:columns"),
    ("rows:2,columns:4", "heads:rows,memory:columns"),
]


def softmax(mode, over="memory", mesh_shape="", layout="", tpu=False, **more):
    """Returns the value, and the names of the classes of the operations."""
    with helpers.bench(mesh_shape, layout) as b, build_mode.building(mode, for_tpu=tpu):
        x = b.put(LOGITS, "batch", "heads", "memory")
        found = mtf.softmax(x, {d.name: d for d in x.shape.dims}[over], **more)
        assert found.shape == x.shape
        kinds = {type(operation).__name__ for operation in b.graph.operations}
        return b.run({"y": found})["y"], kinds


def gradient(mesh_shape="", layout="", tpu=False, **more):
    """Returns the gradient of the weighted sum of all outputs."""
    with helpers.bench(mesh_shape, layout) as b, build_mode.building("train", for_tpu=tpu):
        x = b.put(LOGITS, "batch", "heads", "memory")
        y = mtf.softmax(x, x.shape.dims[-1], **more)
        total = mtf.reduce_sum(y * b.put(WEIGHTS, "batch", "heads", "memory"))
        return b.run({"dx": mtf.gradients([total], [x])[0]})["dx"]


@pytest.mark.parametrize("mesh_shape, layout", MESHES)
@pytest.mark.parametrize("mode", ["train", "eval", "infer"])
def test_outputs_equal_mesh_tensorflows(mode, mesh_shape, layout):
    expected, stock = softmax("train", tpu=True)
    found, kinds = softmax(mode, mesh_shape=mesh_shape, layout=layout)
    whole = expected.sum(-1) > 1.5
    assert whole.sum() == 1 and whole[2, 1]
    np.testing.assert_allclose(found[~whole], expected[~whole], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=0, atol=1e-6)
    assert "Softmax" in kinds and "Softmax" not in stock


@pytest.mark.parametrize("mesh_shape, layout", MESHES)
@pytest.mark.parametrize("more", [{}, {"extra_logit": 1.0}])
def test_gradients_equal_mesh_tensorflows(mesh_shape, layout, more):
    expected, found = gradient(tpu=True, **more), gradient(mesh_shape, layout, **more)
    whole = np.zeros(LOGITS.shape[:2], bool)
    whole[2, 1] = True  # Masked completely.
    np.testing.assert_allclose(found[~whole], expected[~whole], rtol=0, atol=1e-6)


@pytest.mark.parametrize("extra_logit", [0.0, -3.0, 20.0])
@pytest.mark.parametrize("mesh_shape, layout", [("", ""), ("columns:2", "memory:columns")])
def test_an_extra_logit(extra_logit, mesh_shape, layout):
    """In a row that is masked completely it has all of the probability."""
    found, kinds = softmax("eval", mesh_shape=mesh_shape, layout=layout, extra_logit=extra_logit)
    assert "Softmax" in kinds
    powers = np.exp(LOGITS.astype(np.float64))
    expected = powers / (powers.sum(-1, keepdims=True) + np.exp(extra_logit))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert not found[2, 1].any()
    stock = softmax("train", tpu=True, extra_logit=extra_logit)[0]
    np.testing.assert_allclose(found, stock, atol=1e-6)


def test_tpus_and_other_arguments_keep_the_stock_form():
    assert "Softmax" not in softmax("eval", over="heads")[1]
    with helpers.bench() as b, build_mode.building("eval", for_tpu=True):
        x = b.put(LOGITS, "batch", "heads", "memory")
        mtf.softmax(x, x.shape.dims[-1])
        mtf.softmax(mtf.cast(x, tf.bfloat16), x.shape.dims[-1])
        mtf.softmax(x, x.shape.dims[-1], extra_logit=0.0)
        assert "Softmax" not in {type(operation).__name__ for operation in b.graph.operations}


def test_six_dimensions_as_attention_in_blocks_has_them():
    """oneDNN's kernel, which large tensors use, ends with an error above five."""
    x = np.random.default_rng(1).normal(size=[1, 2, 4, 8, 32, 64]).astype(np.float32)
    names = ("outer_batch", "batch", "blocks", "heads", "query", "memory")
    with helpers.bench() as b, build_mode.building("eval"):
        fed = tf.placeholder_with_default(x, x.shape)  # A constant would be folded.
        shape = mtf.Shape([mtf.Dimension(*dim) for dim in zip(names, x.shape, strict=True)])
        logits = mtf.import_tf_tensor(b.mesh, fed, shape)
        found = b.run({"y": mtf.softmax(logits, shape.dims[-1])})["y"]
    powers = np.exp(x - x.max(-1, keepdims=True))
    np.testing.assert_allclose(found, powers / powers.sum(-1, keepdims=True), rtol=0, atol=1e-6)
