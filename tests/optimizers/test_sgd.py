"""Gradient descent with momentum equals optax for twenty steps, on one device and on a mesh."""

import functools

import optax
import pytest

from primer.errors import UsageError
from primer.optimizers.sgd import SgdMomentumOptimizer
from tests.optimizers import optax_run, optimizer_run, problem


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, False), (0.8, True), (0.0, False)])
def test_it_equals_optax(momentum, nesterov, mesh, layout):
    ours = functools.partial(
        SgdMomentumOptimizer, weight_decay=0.1, momentum=momentum, nesterov=nesterov
    )

    def theirs(rate):
        return optax.chain(
            optax.sgd(1.0, momentum or None, nesterov),
            optax.scale(-1.0),  # optax.sgd negates.
            optax.add_decayed_weights(0.1, optax_run.no_vectors),
            optax.scale(-rate),
        )

    optimizer_run.check(ours, optax_run.run(theirs), mesh, layout)


def test_without_momentum_it_has_no_state():
    plain = functools.partial(SgdMomentumOptimizer, momentum=0.0)
    assert not [n for n in optimizer_run.run_problem(plain)[0] if "slot" in n or "updates" in n]
    with_state = optimizer_run.run_problem(SgdMomentumOptimizer)[0]
    assert {n for n in with_state if "slot" in n} == {f"{n}_slot_momentum" for n in problem.DIMS}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"momentum": 1.0},
            "SgdMomentumOptimizer.momentum = 1.0: expected a number from 0 to belo",
        ),
        ({"nesterov": "yes"}, "SgdMomentumOptimizer.nesterov = 'yes': expected True or False"),
        (
            {"nesterov": True, "momentum": 0.0},
            "SgdMomentumOptimizer.nesterov = True: expected False, because SgdMomentumOptimizer.mo",
        ),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        SgdMomentumOptimizer(1e-3, **settings)
