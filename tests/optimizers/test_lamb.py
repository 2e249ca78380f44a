"""LAMB equals optax and Keras for twenty steps, on one device and on a mesh."""

import functools

import numpy as np
import optax
import pytest

from primer.errors import UsageError
from primer.optimizers.adamw import AdamWOptimizer
from primer.optimizers.lamb import LambOptimizer
from tests.optimizers import keras_run, optax_run, optimizer_run, problem


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_it_equals_optax(mesh, layout):
    ours = functools.partial(LambOptimizer, weight_decay=0.1, beta1=0.8, beta2=0.97)

    def theirs(rate):
        return optax.lamb(rate, 0.8, 0.97, 1e-6, weight_decay=0.1, mask=optax_run.no_vectors)

    optimizer_run.check(ours, optax_run.run(theirs), mesh, layout)


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_it_equals_keras(mesh, layout):
    """Without decay: in Keras the decay is outside the ratio."""
    ours = functools.partial(LambOptimizer, beta1=0.8, beta2=0.97)
    keras_run.check(ours, lambda optimizers: optimizers.Lamb(0.1, 0.8, 0.97, 1e-6), mesh, layout)


EXPERTS = ("experts", "d_model", "d_ff")
LAYOUTS = [("", ""), (optimizer_run.MESH_2X2, "experts:rows,d_ff:cols")]


@pytest.mark.parametrize(("mesh", "layout"), LAYOUTS, ids=["one", "2x2"])
def test_each_expert_has_its_ratio(mesh, layout):
    """A weight of stacked experts is trained as its experts alone would be."""
    random = np.random.RandomState(0)
    scales = np.array([1.0, 1e-2, 10.0, 0.0])[:, None, None]  # The last one starts at zero.
    weights = {"wi": (random.normal(size=[4, 8, 16]) * scales).astype("f")}
    gradients = [{"wi": random.normal(size=[4, 8, 16]).astype("f")} for _ in range(4)]
    rates = [0.1, 0.2, 0.3, 0.1]
    ours = functools.partial(LambOptimizer, weight_decay=0.1)
    together = optimizer_run.run(ours, weights, {"wi": EXPERTS}, gradients, rates, mesh, layout)
    for expert in range(4):
        alone = optimizer_run.run(
            ours,
            {"wi": weights["wi"][expert]},
            {"wi": EXPERTS[1:]},
            [{"wi": g["wi"][expert]} for g in gradients],
            rates,
        )
        for state, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(state["wi"][expert], expected["wi"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("zero", ["weight", "update"])
def test_the_ratio_is_one_where_a_norm_is_zero(zero):
    weights = {"w": np.full([2, 3], 0.0 if zero == "weight" else 2.0, "f")}
    gradients = [{"w": np.full([2, 3], 0.0 if zero == "update" else 3.0, "f")}]
    dims = {"w": ("d_model", "d_ff")}
    (lamb,) = optimizer_run.run(LambOptimizer, weights, dims, gradients, [0.5])
    (adam,) = optimizer_run.run(AdamWOptimizer, weights, dims, gradients, [0.5])
    np.testing.assert_allclose(lamb["w"], adam["w"], rtol=1e-6)
    assert np.all(lamb["w"] == 2.0) == (zero == "update")


def test_its_state_is_that_of_adamw():
    """A run may change from one to the other when it resumes."""
    lamb, adam = (
        optimizer_run.run_problem(functools.partial(optimizer, beta1=0.9, beta2=0.999))[-1]
        for optimizer in (LambOptimizer, AdamWOptimizer)
    )
    assert set(lamb) == set(adam)
    for name in set(lamb) - set(problem.DIMS):
        np.testing.assert_array_equal(lamb[name], adam[name])


def test_wrong_settings_are_refused():
    with pytest.raises(UsageError, match="LambOptimizer.epsilon = 0.0: expected a number above 0"):
        LambOptimizer(1e-3, epsilon=0.0)
