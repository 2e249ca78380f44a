"""The squared ReLU and its gradient."""

import mesh_tensorflow as mtf
import numpy as np
from mesh_tensorflow import layers as mtf_layers

from primer.layers import squared_relu
from tests.layers import helpers


def test_value_and_gradient():
    x = np.random.default_rng(0).standard_normal([3, 5]).astype(np.float32)
    x[0, 0] = 0.0
    with helpers.bench() as b:
        xs = b.put(x, "length", "d_ff")
        y = squared_relu.squared_relu(xs)
        (dx,) = mtf.gradients([mtf.reduce_sum(y * y)], [xs])
        values = b.run({"y": y, "dx": dx})
    r = np.maximum(x, 0)
    np.testing.assert_allclose(values["y"], r**2, rtol=1e-6)
    np.testing.assert_allclose(values["dx"], 4 * r**3, rtol=1e-5)


def test_it_is_an_activation_of_dense_layers():
    """On a mesh, and equal to Mesh-TF's function of that name."""
    x = np.random.default_rng(0).standard_normal([4, 6]).astype(np.float32)
    w = np.random.default_rng(1).standard_normal([6, 8]).astype(np.float32)
    values = []
    for activation in ("squared_relu", squared_relu.squared_relu):
        with helpers.bench("rows:2", "d_ff:rows", {"wi/kernel": w}) as b:
            xs = b.put(x, "length", "d_model")
            y = mtf_layers.dense_product(
                xs,
                reduced_dims=xs.shape.dims[-1:],
                new_dims=[mtf.Dimension("d_ff", 8)],
                activation_functions=[activation],
                use_bias=False,
                name="wi",
            )
            (dx,) = mtf.gradients([mtf.reduce_sum(y)], [xs])
            values.append(b.run({"y": y, "dx": dx}))
    np.testing.assert_allclose(values[0]["y"], values[1]["y"], rtol=1e-6)
    np.testing.assert_allclose(values[0]["dx"], values[1]["dx"], rtol=1e-5)
