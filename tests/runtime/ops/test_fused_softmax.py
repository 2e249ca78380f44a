"""The softmax of graphs without gradients equals Mesh-TF's, on any mesh."""

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


def softmax(mode, over="memory", mesh_shape="", layout="", **more):
    """Returns the value, and the names of the classes of the operations."""
    with helpers.bench(mesh_shape, layout) as b, build_mode.building(mode):
        x = b.put(LOGITS, "batch", "heads", "memory")
        found = mtf.softmax(x, {d.name: d for d in x.shape.dims}[over], **more)
        assert found.shape == x.shape
        kinds = {type(operation).__name__ for operation in b.graph.operations}
        return b.run({"y": found})["y"], kinds


@pytest.mark.parametrize(
    "mesh_shape, layout",
    [
        ("", ""),
        ("rows:2", "batch:rows"),
        ("columns:2", "memory:columns"),
        ("rows:2,columns:4", "heads:rows,memory:columns"),
    ],
)
@pytest.mark.parametrize("mode", ["eval", "infer"])
def test_outputs_equal_mesh_tensorflows(mode, mesh_shape, layout):
    expected, stock = softmax("train")
    found, kinds = softmax(mode, mesh_shape=mesh_shape, layout=layout)
    whole = expected.sum(-1) > 1.5
    assert whole.sum() == 1 and whole[2, 1]
    np.testing.assert_allclose(found[~whole], expected[~whole], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=0, atol=1e-6)
    assert "Softmax" in kinds and "Softmax" not in stock


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
    np.testing.assert_allclose(found, softmax("train", extra_logit=extra_logit)[0], atol=1e-6)


def test_training_tpus_and_other_arguments_keep_the_stock_form():
    assert "Softmax" not in softmax("train")[1]
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
