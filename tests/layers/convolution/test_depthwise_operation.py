"""The convolution's operations: recomputed gradients."""

import mesh_tensorflow as mtf
import numpy as np

from primer.layers.convolution import causal_depthwise_conv as conv
from tests.layers import helpers
from tests.layers.convolution.convolution_helpers import draw


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
