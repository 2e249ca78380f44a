"""The convolution against numpy, in both of its lowerings and all its layouts."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers.convolution import causal_depthwise_conv as conv
from primer.layers.convolution import depthwise_operation, depthwise_slices
from tests.layers import helpers

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def oracle(x, taps, ids, dy):
    """y, d x and d taps for x `[n, length, c]`, taps `[k, c]`, ids `[n, length]`."""
    y, dx, dtaps = np.zeros_like(x), np.zeros_like(x), np.zeros_like(taps)
    for row, t, i in np.ndindex(x.shape[0], x.shape[1], len(taps)):
        if t >= i and ids[row, t] == ids[row, t - i]:
            y[row, t] += taps[i] * x[row, t - i]
            dx[row, t - i] += taps[i] * dy[row, t]
            dtaps[i] += x[row, t - i] * dy[row, t]
    return y, dx, dtaps


def run(x, taps, ids, dy, mesh_shape="", layout="", names=("batch", "length", "heads")):
    """The same from the Mesh-TF operation; x with dimensions of these names."""
    with helpers.bench(mesh_shape, layout) as b:
        xs = b.put(x, *names)
        ws = [b.put(tap, *names[names.index("length") + 1 :]) for tap in taps]
        segments = None if ids is None else b.put(ids, "batch", "length")
        length_dim = xs.shape.get_dim_by_name("length")
        y = conv.causal_depthwise_conv(xs, ws, length_dim, segments)
        loss = mtf.reduce_sum(y * b.put(dy, *names))
        dx, *dws = mtf.gradients([loss], [xs] + ws)
        values = b.run({"y": y, "dx": dx, **{f"dw{i}": dw for i, dw in enumerate(dws)}})
    return values["y"], values["dx"], np.stack([values[f"dw{i}"] for i in range(len(taps))])


def check(actual, expected):
    for a, e in zip(actual, expected):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-5)


IDS = np.array([[1, 1, 1, 1, 2, 3, 3, 3], [1, 2, 3, 4, 4, 0, 0, 0], [1] * 8, [5] * 7 + [6]])


@pytest.fixture(params=["kernels", "shifted"])
def lowering(request, monkeypatch):
    """Both lowerings: what a CPU takes, and what a TPU takes."""
    fits = request.param == "kernels"
    monkeypatch.setattr(
        depthwise_operation._ConvOperation, "_fits_kernels", lambda self, mesh_impl: fits
    )


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("ids", [None, IDS.astype(np.int32)], ids=["plain", "packed"])
def test_numpy(lowering, kernel_size, ids):
    x, taps, dy = draw(4, 8, 3), draw(kernel_size, 3), draw(4, 8, 3)
    segments = np.ones([4, 8]) if ids is None else ids
    check(run(x, taps, ids, dy), oracle(x, taps, segments, dy))


def test_heads_and_channels(lowering):
    x, taps, dy, ids = draw(4, 8, 2, 3), draw(3, 2, 3), draw(4, 8, 2, 3), IDS.astype(np.int32)
    flat = (x.reshape(4, 8, 6), taps.reshape(3, 6), ids, dy.reshape(4, 8, 6))
    y, dx, dtaps = oracle(*flat)
    values = run(x, taps, ids, dy, names=("batch", "length", "heads", "d_kv"))
    check(values, (y.reshape(x.shape), dx.reshape(x.shape), dtaps.reshape(taps.shape)))


@pytest.mark.parametrize("length", [1, 2])
def test_fewer_positions_than_taps(lowering, length):
    x, taps, dy = draw(2, length, 3), draw(4, 3), draw(2, length, 3)
    ids = np.array([[1, 1], [1, 2]], np.int32)[:, :length]
    check(run(x, taps, ids, dy), oracle(x, taps, ids, dy))


@pytest.mark.parametrize("mesh_shape", ["rows:2", "rows:4"])
@pytest.mark.parametrize("dim", ["batch", "length", "heads"])
@pytest.mark.parametrize("packed", [False, True])
def test_split_dimension(dim, mesh_shape, packed):
    """Halos of a split length, sums over the rest; on 4 processors a part spans two of them."""
    x, taps, dy = draw(4, 8, 4), draw(3, 4), draw(4, 8, 4)
    ids = IDS.astype(np.int32) if packed else None
    expected = oracle(x, taps, IDS if packed else np.ones([4, 8]), dy)
    check(run(x, taps, ids, dy, mesh_shape, f"{dim}:rows"), expected)


def test_length_split_too_far_is_one_clear_error():
    x, taps = draw(1, 4, 2), draw(3, 2)
    with pytest.raises(ValueError, match="layout rule length:rows: 1 positions on each of 4"):
        run(x, taps, None, x, "rows:4", "length:rows")


def test_dimensions_may_stand_anywhere():
    """Taps before the length, as with an ensemble, and another order than in x."""
    x, taps = draw(2, 5, 4, 3), draw(3, 3, 2)
    with helpers.bench() as b:
        xs = b.put(x, "ensemble", "batch", "length", "heads")
        ws = [b.put(tap, "heads", "ensemble") for tap in taps]
        y = conv.causal_depthwise_conv(xs, ws, xs.shape.dims[2])
        dws = mtf.gradients([mtf.reduce_sum(mtf.square(y))], ws)
        values = b.run({"y": y, **{f"dw{i}": dw for i, dw in enumerate(dws)}})
    for e in range(2):
        y, _, _ = oracle(x[e], taps[:, :, e], np.ones([5, 4]), x[e])
        np.testing.assert_allclose(values["y"][e], y, atol=1e-5)
        _, _, dtaps = oracle(x[e], taps[:, :, e], np.ones([5, 4]), 2 * y)
        for i in range(3):
            np.testing.assert_allclose(values[f"dw{i}"][:, e], dtaps[i], rtol=1e-4, atol=1e-4)


def test_recomputed_gradients():
    """mtf.recompute_grad copies operations and gives the copies other inputs."""
    x, tap = draw(2, 6, 3), draw(3)
    with helpers.bench() as b:
        xs, w = b.put(x, "batch", "length", "heads"), b.put(tap, "heads")

        def fn(value):
            return conv.causal_depthwise_conv(mtf.square(value), [w, w * 0.5], xs.shape.dims[1])

        losses = [mtf.reduce_sum(mtf.square(y)) for y in (fn(xs), mtf.recompute_grad(fn, [xs]))]
        grads = [mtf.gradients([loss], [xs, w]) for loss in losses]
        values = b.run({f"{i}{j}": g for i, gs in enumerate(grads) for j, g in enumerate(gs)})
    np.testing.assert_allclose(values["00"], values["10"], atol=1e-5)
    np.testing.assert_allclose(values["01"], values["11"], rtol=1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_what_a_tpu_runs_compiles_with_xla(packed):
    x, taps, dy = draw(4, 8, 3), draw(3, 3), draw(4, 8, 3)
    ids = IDS.astype(np.int32)

    @tf.function(jit_compile=True)
    def forwards(x, ids):
        padded = tf.pad(x, [[0, 0], [2, 0], [0, 0]])
        segments = tf.pad(ids, [[0, 0], [2, 0]])[:, :, tf.newaxis] if packed else None
        return depthwise_slices.convolve_shifted(padded, list(taps), segments, axis=1)

    with tf.Graph().as_default(), tf.Session() as session:
        y = session.run(forwards(tf.constant(x), tf.constant(ids)))
    np.testing.assert_allclose(
        y, oracle(x, taps, ids if packed else np.ones([4, 8]), dy)[0], atol=1e-5
    )


def test_bfloat16_sums_in_float32(lowering):
    """A tap's gradient over 4096 positions is as good as its factors, which have 8 bits."""
    x, dy, taps = draw(4, 1024, 2), draw(4, 1024, 2), draw(3, 2)
    with helpers.bench() as b:
        xs, dys, ws = (
            b.put(x, "batch", "length", "heads"),
            b.put(dy, "batch", "length", "heads"),
            [b.put(tap, "heads") for tap in taps],
        )
        xs, dys, ws = mtf.to_bfloat16(xs), mtf.to_bfloat16(dys), [mtf.to_bfloat16(w) for w in ws]
        y = conv.causal_depthwise_conv(xs, ws, xs.shape.dims[1])
        grads = mtf.gradients([y], [xs] + ws, grad_ys=[dys])
        outputs = {"x": xs, "dy": dys, "y": y, **{f"d{i}": g for i, g in enumerate(grads)}}
        values = b.run({name: mtf.to_float(t) for name, t in outputs.items()})
    rounded = taps.astype(np.float32)
    y, dx, dtaps = oracle(values["x"], rounded, np.ones([4, 1024]), values["dy"])
    np.testing.assert_allclose(values["y"], y, rtol=0.02, atol=0.05)
    np.testing.assert_allclose(values["d0"], dx, rtol=0.02, atol=0.05)
    for i in range(3):
        np.testing.assert_allclose(values[f"d{i + 1}"], dtaps[i], rtol=0.005, atol=0.05)


@pytest.mark.parametrize("kernel_size", [0, -1, 2.0, None, True, "3"])
def test_kernel_size_is_checked(kernel_size):
    with pytest.raises(ValueError, match="MDHA.kernel_size = .*: expected the number of taps"):
        conv.check_kernel_size(kernel_size, "MDHA.kernel_size")


def test_shapes_are_checked():
    with helpers.bench() as b:
        x = b.put(draw(2, 4, 3), "batch", "length", "heads")
        tap = b.put(draw(3), "heads")
        length, other = x.shape.dims[1], mtf.Dimension("memory_length", 4)
        with pytest.raises(ValueError, match="cannot convolve along"):
            conv.causal_depthwise_conv(x, [tap], other)
        with pytest.raises(ValueError, match="expected one shape, without"):
            conv.causal_depthwise_conv(x, [tap, b.put(draw(4), "length")], length)
        with pytest.raises(ValueError, match="not all dimensions of"):
            conv.causal_depthwise_conv(x, [b.put(draw(3), "d_kv")], length)
        with pytest.raises(ValueError, match="segment_id of shape"):
            conv.causal_depthwise_conv(x, [tap], length, b.put(IDS[:2, 0], "batch"))
