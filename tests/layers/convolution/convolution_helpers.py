"""The causal depthwise convolution in numpy, and as the Mesh-TF operation."""

import mesh_tensorflow as mtf
import numpy as np

from primer.layers.convolution import causal_depthwise_conv as conv
from tests.layers import helpers

RNG = np.random.default_rng(0)
IDS = np.array([[1, 1, 1, 1, 2, 3, 3, 3], [1, 2, 3, 4, 4, 0, 0, 0], [1] * 8, [5] * 7 + [6]])


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def oracle(x, taps, ids, dy):
    """Returns y, dx and dtaps for x `[n, length, c]`, taps `[k, c]`, ids `[n, length]`."""
    y, dx, dtaps = np.zeros_like(x), np.zeros_like(x), np.zeros_like(taps)
    for row, t, i in np.ndindex(x.shape[0], x.shape[1], len(taps)):
        if t >= i and ids[row, t] == ids[row, t - i]:
            y[row, t] += taps[i] * x[row, t - i]
            dx[row, t - i] += taps[i] * dy[row, t]
            dtaps[i] += x[row, t - i] * dy[row, t]
    return y, dx, dtaps


def run(x, taps, ids, dy, mesh_shape="", layout="", names=("batch", "length", "heads")):
    """Returns the same from the Mesh-TF operation, where x has dimensions of these names."""
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
