"""Rates at another width in training: each weight's first step, with the base model's decay."""

import functools

import numpy as np
import pytest
from mesh_tensorflow import optimize

from primer.errors import UsageError
from primer.optimizers.adamw import AdamWOptimizer
from primer.optimizers.muon import MuonOptimizer
from primer.optimizers.training_optimizer import TrainingOptimizer
from tests.optimizers import optimizer_run, preset, problem

M = 4.0
DECAY = 0.1
MATRICES = ("layer/wi/kernel", "layer/wo/kernel", "layer/q")


def changes(make_optimizer, mesh="", layout="", **settings):
    """Returns what the first step subtracts from each weight, divided by the run's rate."""
    settings = {"width_multiplier": M, **settings}
    made = functools.partial(TrainingOptimizer, make_optimizer, **settings)
    state = optimizer_run.run_problem(made, mesh, layout)[0]
    rate = problem.rates()[0]
    return {name: (w - state[name]) / rate for name, w in problem.weights().items()}


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_adamw_divides_the_rate_of_matrices_and_no_decay(mesh, layout):
    found = changes(functools.partial(AdamWOptimizer, weight_decay=DECAY), mesh, layout)
    for name, g in problem.gradients()[0].items():
        update = g / (np.abs(g) + 1e-8) / (M if name in MATRICES else 1.0)
        decay = DECAY * problem.weights()[name] if g.ndim > 1 else 0.0
        np.testing.assert_allclose(found[name], update + decay, rtol=1e-3, atol=1e-4, err_msg=name)


def test_adam_of_mesh_tf_keeps_its_decay_too():
    made = functools.partial(optimize.AdamWeightDecayOptimizer, weight_decay_rate=DECAY)
    found = changes(made)
    for name, g in problem.gradients()[0].items():
        update = 0.1 * g / (np.sqrt(0.001) * np.abs(g) + 1e-6)
        update /= M if name in MATRICES else 1.0
        expected = update + DECAY * problem.weights()[name]
        np.testing.assert_allclose(found[name], expected, rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_decay_of_adam_inside_of_muon_is_kept_too():
    """Without a pattern of its own Muon would update matrices, of which each has a factor."""
    inner = functools.partial(optimize.AdamWeightDecayOptimizer, weight_decay_rate=DECAY)
    found = changes(functools.partial(MuonOptimizer, others=inner, matrices=["layer/wi/kernel"]))
    g, weight = problem.gradients()[0]["layer/q"], problem.weights()["layer/q"]
    update = 0.1 * g / (np.sqrt(0.001) * np.abs(g) + 1e-6) / M
    np.testing.assert_allclose(found["layer/q"], update + DECAY * weight, rtol=1e-3, atol=1e-4)


def test_sgd_multiplies_the_rate_of_vectors_and_tables():
    found = changes(optimize.SgdOptimizer)
    for name, g in problem.gradients()[0].items():
        expected = g * (1.0 if name in MATRICES else M)
        np.testing.assert_allclose(found[name], expected, rtol=1e-3, atol=1e-3, err_msg=name)


def test_groups_of_rates_have_the_factor_too():
    found = changes(AdamWOptimizer, learning_rate_groups=[("layer/q", 0.5)])
    assert np.median(np.abs(found["layer/q"])) == pytest.approx(0.5 / M, rel=1e-3)
    assert np.median(np.abs(found["layer/wi/kernel"])) == pytest.approx(1 / M, rel=1e-3)


def test_rates_that_the_optimizer_has_itself_are_refused():
    made = functools.partial(
        optimize.AdamWithMultiLRSchedule, variable_search=["q"], alt_lr_schedules=[1.0]
    )
    with pytest.raises(UsageError, match="base_width with .*variable_search: these rates do not"):
        changes(made)


def test_an_optimizers_own_default_rate_is_refused():
    made = functools.partial(TrainingOptimizer, optimize.AdafactorOptimizer, width_multiplier=M)
    with pytest.raises(UsageError, match="base_width needs utils.run.learning_rate_schedule"):
        optimizer_run.run_problem(lambda learning_rate: made(learning_rate=None))


# The factor of a matrix's first update, as a power of 1/m, and that of the embedding's.
POWERS = {
    "adafactor": (0.5, 0.0),
    "adamw": (1.0, 0.0),
    "adam": (1.0, 0.0),
    "lamb": (0.5, 0.0),
    "lion": (1.0, 0.0),
    "muon": (0.5, 0.0),
    "sgd": (0.0, -1.0),
}


@pytest.mark.parametrize("name", preset.PRESETS)
def test_every_optimizer_has_its_factors(name):
    made = preset.optimizer(name, ["weight_decay = 0.0"])
    kind = max((known for known in POWERS if name.startswith(known)), key=len)
    carried = changes(made)
    own = changes(made, width_multiplier=None)
    for weight, power in zip(("layer/wi/kernel", "embedding"), POWERS[kind], strict=True):
        ratio = np.median(np.abs(carried[weight])) / np.median(np.abs(own[weight]))
        assert ratio == pytest.approx(M**-power, rel=1e-3), weight
