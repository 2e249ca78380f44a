"""The dense layer by chosen experts: numpy, meshes, static shapes, no gradient."""

import numpy as np
import pytest

from primer.layers.experts import selected_dense
from tests.layers import helpers
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import tight

RNG = np.random.default_rng(0)
X = RNG.standard_normal([6, 4]).astype(np.float32)
KERNEL = RNG.standard_normal([3, 4, 5]).astype(np.float32)
BIAS = RNG.standard_normal([3, 5]).astype(np.float32)
# -1 stands for no expert.
INDEX = np.array([[0, 2], [1, -1], [2, 2], [-1, -1], [0, 1], [1, 0]], np.int32)


@pytest.mark.parametrize("mesh", [("", ""), ("rows:3", "experts:rows"), ("rows:2", "in:rows")])
@pytest.mark.parametrize("multiply", ["_multiply_sorted", "_multiply_masked"])
def test_rows_are_multiplied_by_the_weights_of_their_experts(multiply, mesh, monkeypatch):
    monkeypatch.setattr(selected_dense, "_multiply_sorted", getattr(selected_dense, multiply))
    with helpers.bench(*mesh) as b:
        kernel = b.put(KERNEL, "experts", "in", "out")
        experts, in_dim, out_dim = kernel.shape.dims
        weights = selected_dense.Weights(
            kernel, b.put(BIAS, "experts", "out"), in_dim, out_dim, [experts]
        )
        index = b.put(INDEX, "tokens", "choices")
        y = selected_dense.selected_dense(b.put(X, "tokens", "in"), [index], weights)
        y = b.run({"y": y})["y"]
    expected = np.einsum("ti,tcio->tco", X, KERNEL[INDEX]) + BIAS[INDEX]
    np.testing.assert_allclose(y, expected * (INDEX >= 0)[..., None], rtol=0, atol=1e-5)


def test_dimensions_that_do_not_match_raise_an_error():
    with helpers.bench() as b:
        kernel = b.put(KERNEL, "experts", "in", "out")
        experts, in_dim, out_dim = kernel.shape.dims
        weights = selected_dense.Weights(kernel, None, in_dim, out_dim, [experts])
        index = b.put(INDEX, "tokens", "choices")
        with pytest.raises(ValueError, match="cannot multiply .* as the last dimension"):
            selected_dense.selected_dense(b.put(X, "tokens", "other"), [index], weights)


def test_layers_with_static_shapes_give_the_same(monkeypatch):
    """As on TPU, where every expert multiplies every row and a mask selects."""
    for gating in ("top_2", "two levels"):
        expected = experts_alone.run(tight(gating, second_policy_eval="threshold"), exact=True)
        with monkeypatch.context() as patch:
            patch.setattr(selected_dense, "_multiply_sorted", selected_dense._multiply_masked)
            values = experts_alone.run(tight(gating, second_policy_eval="threshold"), exact=True)
        experts_alone.check_same(values, expected)


def test_a_gradient_raises_an_error():
    with pytest.raises(NotImplementedError, match="evaluation and decoding"):
        experts_alone.run(tight("top_2"), exact=True, gradients=True)


def test_a_layout_that_the_model_lacks_raises_an_error():
    """Without the model's layout, tokens and experts stay on the same mesh axis."""
    experts = tight("top_2")
    original = experts._undropped

    def forget(context, x):
        context.model.layout = None
        return original(context, x)

    experts._undropped = forget
    where = dict(mesh_shape="rows:2", layout="batch:rows,experts:rows")
    with pytest.raises(ValueError, match="give the layout to the model too"):
        experts_alone.run(experts, exact=True, **where)
