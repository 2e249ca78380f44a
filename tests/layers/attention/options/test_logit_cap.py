"""Soft caps of logits against the equation, with every argument of Mesh-TF's attention."""

from unittest import mock

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention

from primer.common import build_mode
from primer.layers.attention.options import logit_cap
from tests.layers import helpers, single_layer

QUERY = ("batch", "length", "heads", "d_kv")
MEMORY = ("batch", "memory_length", "heads", "d_kv")
DRAW = np.random.default_rng(0)
Q, WEIGHTS = (3 * DRAW.standard_normal([2, 4, 2, 8]).astype(np.float32) for _ in range(2))
K, V = (DRAW.standard_normal([2, 6, 2, 8]).astype(np.float32) for _ in range(2))
# The last key is hidden from the first query of each row.
BIAS = DRAW.standard_normal([4, 6, 2]).astype(np.float32)
BIAS[0, -1] = -1e9


def expected(q, k, v, cap, extra_logit=None):
    """TensorFlow from the equation: the outputs, and log Z `[batch, heads, length]`."""
    logits = tf.einsum("blhd,bmhd->bhlm", q, k)
    logits = cap * tf.tanh(logits / cap) + tf.transpose(BIAS, [2, 0, 1])
    powers = tf.exp(logits)
    z = tf.reduce_sum(powers, -1)
    total = z if extra_logit is None else z + np.exp(extra_logit)
    return tf.einsum("bhlm,bmhd->blhd", powers / total[..., None], v), tf.math.log(z)


def run(cap, mesh=(), mode="train", gradients=True, **kwargs):
    """Returns y, the losses, and the gradients of sum(y * WEIGHTS) + losses."""
    with helpers.bench(*mesh) as b, build_mode.building(mode):
        context = single_layer.context_of(
            b, b.put(np.ones([2, 4, 8], np.float32), *single_layer.NAMES), mode, np.ones([2, 4])
        )
        q, k, v = b.put(Q, *QUERY), b.put(K, *MEMORY), b.put(V, *MEMORY)
        bias = b.put(BIAS, "length", "memory_length", "heads")
        memory, key = k.shape.dims[1], k.shape.dims[3]
        y = logit_cap.attend(q, k, v, memory, key, key, bias, cap, context=context, **kwargs)
        assert y.shape == q.shape
        outputs = {"y": y}
        total = mtf.reduce_sum(y * b.put(WEIGHTS, *QUERY))
        if context.losses:
            outputs["loss"] = mtf.add_n(context.losses)
            total += outputs["loss"]
        if gradients:
            outputs.update(zip(("dq", "dk", "dv"), mtf.gradients([total], [q, k, v])))
        return b.run(outputs)


@pytest.mark.parametrize("extra_logit", [None, 0.5])
@pytest.mark.parametrize("coefficient", [None, 0.25])
@pytest.mark.parametrize("cap", [1.0, 5.0])
def test_equation_and_gradients(cap, coefficient, extra_logit):
    values = run(cap, z_loss_coeff=coefficient, extra_logit=extra_logit)
    with tf.Graph().as_default(), tf.Session() as session:
        q, k, v = map(tf.constant, (Q, K, V))
        y, log_z = expected(q, k, v, cap, extra_logit)
        loss = (coefficient or 0) * tf.reduce_mean(tf.square(log_z))
        gradients = tf.gradients(tf.reduce_sum(y * WEIGHTS) + loss, [q, k, v])
        wanted = dict(zip(("dq", "dk", "dv"), gradients), y=y)
        if coefficient:
            wanted["loss"] = loss
        wanted = session.run(wanted)
    assert set(values) == set(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(values[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


def test_the_cap_comes_before_the_bias():
    """A hidden key stays hidden: after the cap of 1 its weight would be exp(-2)."""
    changed = V.copy()
    changed[:, -1] += 100
    before = run(1.0, gradients=False)["y"]
    with mock.patch(f"{__name__}.V", changed):
        after = run(1.0, gradients=False)["y"]
    np.testing.assert_array_equal(before[:, 0], after[:, 0])
    assert np.abs(before[:, 1:] - after[:, 1:]).max() > 0.1


def test_a_high_cap_is_no_cap():
    kwargs = {"z_loss_coeff": 0.25, "extra_logit": 0.5}
    capped, plain = run(1e4, **kwargs), run(None, **kwargs)
    for key, value in plain.items():
        np.testing.assert_allclose(capped[key], value, rtol=1e-3, atol=1e-4, err_msg=key)


def test_no_cap_is_mesh_tensorflows_attention():
    """Also where a patch has replaced it."""
    with mock.patch.object(attention, "attention", return_value="its result") as stock:
        kwargs = {"dropout_rate": 0.1, "context": "context"}
        assert logit_cap.attend(1, 2, 3, 4, 5, 6, 7, **kwargs) == "its result"
    stock.assert_called_once_with(1, 2, 3, 4, 5, 6, bias=7, **kwargs)


def test_graphs_without_gradients_give_the_same():
    values = run(2.0, mode="eval", gradients=False)["y"]
    np.testing.assert_allclose(values, run(2.0)["y"], rtol=0, atol=1e-6)


def test_dropout_noise_is_shared_along_the_broadcast_dimensions():
    """With equal logits and values, an output is twice the share of the weights that are kept."""
    with helpers.bench() as b:
        x = b.put(np.ones([2, 4, 8], np.float32), *single_layer.NAMES)
        context = single_layer.context_of(b, x, "train")
        q, k = (
            b.put(np.zeros([2, 4, 3, 8], np.float32), *QUERY),
            b.put(np.zeros([2, 16, 3, 8]), *MEMORY),
        )
        k = mtf.cast(k, tf.float32)
        dims = k.shape.dims
        settings = {"dropout_rate": 0.5, "dropout_broadcast_dims": [context.length_dim]}
        y = logit_cap.attend(
            q, k, k + 1.0, dims[1], dims[3], dims[3], None, 1.0, context=context, **settings
        )
        y = b.run({"y": y})["y"][..., 0]  # [batch, length, heads]
    np.testing.assert_array_equal(y, y[:, :1].repeat(4, 1))
    np.testing.assert_allclose(y * 8, np.round(y * 8), atol=1e-5)
    assert len(np.unique(np.round(y[:, 0] * 8))) > 1 and abs(y.mean() - 1) < 0.4


def run_bfloat16(float32_logits):
    with helpers.bench() as b:
        tensors = [b.put(Q, *QUERY), b.put(K, *MEMORY), b.put(V, *MEMORY)]
        q, k, v = (mtf.cast(t, tf.bfloat16) for t in tensors)
        memory, key = k.shape.dims[1], k.shape.dims[3]
        context = helpers.layer_context(b, b.put(Q[:, :, 0], *single_layer.NAMES))
        bias = b.put(BIAS, "length", "memory_length", "heads")
        kwargs = {"context": context, "float32_logits": float32_logits}
        y = logit_cap.attend(q, k, v, memory, key, key, bias, 2.0, **kwargs)
        assert y.dtype == tf.bfloat16
        return b.run({"y": mtf.cast(y, tf.float32)})["y"]


def test_logits_of_bfloat16_queries_are_float32():
    rounded = [x.astype(tf.bfloat16.as_numpy_dtype).astype(np.float32) for x in (Q, K, V)]
    with tf.Graph().as_default(), tf.Session() as session:
        wanted = session.run(expected(*rounded, 2.0)[0])
    errors = [np.abs(run_bfloat16(setting) - wanted).mean() for setting in (True, False)]
    assert errors[0] < 0.003 and errors[1] > 1.5 * errors[0]


@pytest.mark.parametrize(
    "mesh",
    [
        ("columns:2", "heads:columns"),
        ("rows:2,columns:2", "batch:rows,length:columns"),
        ("rows:2,columns:2", "batch:rows,memory_length:columns"),
    ],
)
def test_meshes(mesh):
    expected, values = (run(2.0, m, z_loss_coeff=0.25) for m in ((), mesh))
    for key, value in expected.items():
        np.testing.assert_allclose(values[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("cap", [0, -1.0, "50"])
def test_invalid_caps(cap):
    message = f"MultiHeadAttention.logit_cap = {cap!r}: expected a number above 0"
    with pytest.raises(ValueError, match=message):
        logit_cap.check(cap)


def test_valid_caps():
    for cap in (None, 50, 0.5):
        logit_cap.check(cap)
