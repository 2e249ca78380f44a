"""The convolution against numpy, in both of its lowerings."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.convolution import causal_depthwise_conv as conv
from primer.layers.convolution import depthwise_layout
from tests.layers import helpers
from tests.layers.convolution.convolution_helpers import IDS, check, draw, oracle, run


@pytest.fixture(params=["kernels", "shifted"])
def lowering(request, monkeypatch):
    """Both lowerings: that of CPUs and that of TPUs."""
    fits = request.param == "kernels"
    monkeypatch.setattr(
        depthwise_layout.ConvOperation, "_fits_kernels", lambda self, mesh_impl: fits
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


def test_bfloat16_sums_in_float32(lowering):
    """A tap's gradient over 4096 positions is as exact as its factors, which have 8 bits."""
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


def test_infinities_in_another_segment_do_not_spread():
    """Through the Mesh-TF operation: neither infinities nor NaN."""
    x = np.ones([1, 6, 2], np.float32)
    x[0, :3] = np.inf
    with helpers.bench() as b:
        x = b.put(x, "batch", "length", "heads")
        taps = [b.put(np.full([2], w, np.float32), "heads") for w in (1.0, 2.0, 4.0)]
        ids = b.put(np.array([[1, 1, 1, 2, 2, 2]], np.int32), "batch", "length")
        y = b.run({"y": conv.causal_depthwise_conv(x, taps, x.shape.dims[1], ids)})["y"]
    np.testing.assert_array_equal(y[0, 3:, 0], [1.0, 3.0, 7.0])
