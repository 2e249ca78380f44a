"""Token shift against its equation."""

import numpy as np
import pytest

from primer.layers import sublayer_token_shift
from tests.layers import helpers, single_layer

RNG = np.random.default_rng(0)
X = RNG.standard_normal([2, 6, 32]).astype(np.float32)
IDS = np.array([[1, 1, 1, 2, 2, 0], [1, 2, 2, 2, 2, 3]])
VARIABLES = {
    "token_shift/gate": RNG.standard_normal([12]).astype(np.float32),
    "token_shift/lambda": np.float32(0.7),
}


class Shift:
    """The sublayer with the interface of a layer."""

    def __init__(self, **settings):
        self.settings = settings

    def call(self, context, x):
        return sublayer_token_shift(x, None, context, **self.settings)


def oracle(x, variables, ids=None):
    gate = variables["token_shift/gate"].astype(np.float64)
    share = variables["token_shift/lambda"] / (1 + np.exp(-x[..., : len(gate)] @ gate))
    previous = np.zeros_like(x)
    previous[:, 1:] = x[:, :-1]
    if ids is not None:
        previous[:, 1:][ids[:, 1:] != ids[:, :-1]] = 0
    return x + share[..., None] * previous


@pytest.mark.parametrize("ids", [None, IDS], ids=["unpacked", "packed"])
def test_equation(ids):
    y = single_layer.run(Shift(), VARIABLES, X, ids)["y"]
    np.testing.assert_allclose(y, oracle(X, VARIABLES, ids), rtol=0, atol=1e-6)


def test_other_number_of_gate_channels():
    variables = {**VARIABLES, "token_shift/gate": RNG.standard_normal([32]).astype(np.float32)}
    y = single_layer.run(Shift(gate_channels=32), variables, X)["y"]
    np.testing.assert_allclose(y, oracle(X, variables), rtol=0, atol=1e-5)


def test_it_starts_as_the_identity_with_a_gradient():
    weights = RNG.standard_normal(X.shape)
    values = single_layer.run(Shift(), None, X, weights=weights, mode="train")
    np.testing.assert_array_equal(values["y"], X)
    # sigmoid(0) = 1/2.
    expected = (weights[:, 1:] * X[:, :-1]).sum() / 2
    np.testing.assert_allclose(values["d token_shift/lambda"], expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["x", *VARIABLES])
def test_gradients(name):
    """Against differences of the equation."""
    weights = RNG.standard_normal(X.shape)
    values = single_layer.run(Shift(), VARIABLES, X, IDS, "train", weights)
    given = {"x": X.astype(np.float64), **VARIABLES}
    step = 1e-4 * RNG.standard_normal(np.shape(given[name]))

    def loss(moved):
        moved = {**given, name: given[name] + moved}
        return (oracle(moved["x"], moved, IDS) * weights).sum()

    slope = (loss(step) - loss(-step)) / 2
    np.testing.assert_allclose((values["d " + name] * step).sum(), slope, rtol=1e-3)


def test_packing_and_decoding():
    single_layer.check_packing(Shift(), VARIABLES, X, IDS)
    single_layer.check_decoding(Shift(), VARIABLES, X, [0, 3])
    single_layer.check_decoding(Shift(), VARIABLES, X, [1, 5])
    single_layer.check_causal(Shift(), VARIABLES, X, 4)


@pytest.mark.parametrize(
    "mesh_shape, layout",
    [
        ("rows:2", "length:rows"),
        ("rows:3", "length:rows"),
        ("rows:2,columns:2", "batch:rows,d_model:columns"),
        ("rows:2,columns:2", "length:rows,d_model:columns"),
    ],
)
def test_meshes(mesh_shape, layout):
    single_layer.check_mesh(Shift(), VARIABLES, X, IDS, mesh_shape, layout)


def test_the_models_of_an_ensemble_have_their_own_variables():
    x = np.stack([X, X])
    values = {name: np.stack([v, 2 * v]) for name, v in VARIABLES.items()}
    with helpers.bench(variables=values) as b:
        given = b.put(x, "ensemble", *single_layer.NAMES)
        context = helpers.layer_context(b, given)
        context.model.ensemble_dims = given.shape.dims[:1]
        y = b.run({"y": sublayer_token_shift(given, None, context)})["y"]
    for index in (0, 1):
        alone = {name: v[index] for name, v in values.items()}
        np.testing.assert_allclose(y[index], oracle(X, alone), rtol=0, atol=1e-5)


@pytest.mark.parametrize("gate_channels", [0, 33, 1.5, True])
def test_invalid_numbers_of_channels_raise_errors(gate_channels):
    with helpers.bench() as b:
        x = b.put(X, *single_layer.NAMES)
        with pytest.raises(ValueError, match=r"gate_channels = .*from 1 to the model's 32"):
            sublayer_token_shift(x, None, single_layer.context_of(b, x), gate_channels)
