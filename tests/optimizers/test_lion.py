"""Lion equals optax and Keras for twenty steps, on one device and on a mesh."""

import functools

import optax
import pytest

from primer.errors import UsageError
from primer.optimizers.lion import LionOptimizer
from tests.optimizers import keras_run, optax_run, optimizer_run

OURS = functools.partial(LionOptimizer, weight_decay=0.3, beta1=0.8, beta2=0.97)


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_it_equals_optax(mesh, layout):
    def theirs(rate):
        return optax.lion(rate, 0.8, 0.97, weight_decay=0.3, mask=optax_run.no_vectors)

    optimizer_run.check(OURS, optax_run.run(theirs), mesh, layout)


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_it_equals_keras(mesh, layout):
    keras_run.check(
        OURS, lambda optimizers: optimizers.Lion(0.1, 0.8, 0.97, weight_decay=0.3), mesh, layout
    )


def test_its_state_is_one_slot_for_each_weight():
    weights = {name for name in optimizer_run.run_problem(OURS)[0] if "slot" in name}
    assert weights == {f"{name}_slot_lion_m" for name in optimizer_run.problem.DIMS}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta1": 1}, "LionOptimizer.beta1 = 1: expected a number from 0 to below 1"),
        ({"beta2": -0.1}, "LionOptimizer.beta2 = -0.1: expected a number from 0 to below 1"),
        (
            {"weight_decay": "0.1"},
            "LionOptimizer.weight_decay = '0.1': expected a number of 0 or m",
        ),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        LionOptimizer(1e-3, **settings)
