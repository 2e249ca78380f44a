"""The layout of the convolution's tensors: split dimensions, halos, order of dimensions."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.convolution import causal_depthwise_conv as conv
from tests.layers import helpers
from tests.layers.convolution.convolution_helpers import IDS, check, draw, oracle, run


@pytest.mark.parametrize("mesh_shape", ["rows:2", "rows:4"])
@pytest.mark.parametrize("dim", ["batch", "length", "heads"])
@pytest.mark.parametrize("packed", [False, True])
def test_split_dimension(dim, mesh_shape, packed):
    """Halos of a split length, sums over the rest; on 4 processors a segment spans two of them."""
    x, taps, dy = draw(4, 8, 4), draw(3, 4), draw(4, 8, 4)
    ids = IDS.astype(np.int32) if packed else None
    expected = oracle(x, taps, IDS if packed else np.ones([4, 8]), dy)
    check(run(x, taps, ids, dy, mesh_shape, f"{dim}:rows"), expected)


def test_a_length_on_too_many_processors_raises_an_error():
    x, taps = draw(1, 4, 2), draw(3, 2)
    with pytest.raises(ValueError, match="layout rule length:rows: 1 positions on each of 4"):
        run(x, taps, None, x, "rows:4", "length:rows")


def test_dimensions_may_have_any_order():
    """Taps have dimensions before the length, as in an ensemble, in another order than x."""
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
