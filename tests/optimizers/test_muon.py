"""Muon equals Keras and optax for twenty steps; the matrices of weights; its settings."""

import functools
import re

import jax
import numpy as np
import optax
import pytest
from optax.contrib import _muon

from primer.errors import UsageError
from primer.optimizers.adamw import AdamWOptimizer
from primer.optimizers.matrices import newton_schulz
from primer.optimizers.muon import MuonOptimizer
from tests import slow
from tests.optimizers import keras_run, optax_run, optimizer_run, problem

# On a mesh of rows:2, cols:2: neither side, one or both of each matrix are split.
LAYOUTS = [
    optimizer_run.LAYOUT_2X2,
    "vocab:rows",
    "d_model:cols",
    "d_ff:rows,heads:rows",
]
MESHES = [("", "")] + [(optimizer_run.MESH_2X2, layout) for layout in LAYOUTS]
VECTORS = [name for name, dims in problem.DIMS.items() if len(dims) == 1]
MATRICES = [n for n, dims in problem.DIMS.items() if len(dims) == 2 and n != "embedding"]
# Keras and optax's Muon add epsilon elsewhere or share it with Muon's: none of it.
ADAMW = functools.partial(AdamWOptimizer, weight_decay=0.1, epsilon=1e-30)


@functools.cache
def keras_weights():
    pytest.importorskip("keras", minversion="3.11")  # Earlier ones have no Muon.

    def make(optimizers):
        return optimizers.Muon(
            adam_beta_2=0.95,
            weight_decay=0.1,
            # It multiplies the ratio with the rate, but not with the decay.
            adam_weight_decay=0.1 * 0.5,
            adam_lr_ratio=0.5,
            epsilon=1e-30,
        )

    return keras_run.run(make, VECTORS)


@pytest.mark.parametrize(("mesh", "layout"), MESHES)
def test_it_equals_keras(mesh, layout):
    ours = functools.partial(MuonOptimizer, weight_decay=0.1, others=ADAMW, others_rate=0.5)
    optimizer_run.check(ours, keras_weights(), mesh, layout)


@functools.cache
def optax_weights():
    kinds = dict.fromkeys(MATRICES, optax.contrib.MuonDimensionNumbers())

    def make(rate):
        return optax.contrib.muon(
            rate,
            eps=1e-30,
            weight_decay=0.1,
            nesterov=False,
            adam_b2=0.95,
            adam_weight_decay=0.1,
            muon_weight_dimension_numbers={name: kinds.get(name) for name in problem.DIMS},
        )

    return optax_run.run(make)


@pytest.mark.skipif(not hasattr(optax.contrib, "MuonDimensionNumbers"), reason="an older optax")
@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_without_nesterov_it_equals_optax(mesh, layout):
    """Optax's nesterov divides the moments as Nadam does, which Keller Jordan's Muon does not."""
    ours = functools.partial(
        MuonOptimizer,
        weight_decay=0.1,
        nesterov=False,
        update_scale="spectral",
        others=functools.partial(ADAMW, decays_vectors=True),
    )
    optimizer_run.check(ours, optax_weights(), mesh, layout)


@functools.cache
def oracle_step(steps):
    """Returns a compiled step of Muon from optax's parts, with a rate of 1, for one matrix."""
    coefficients = jax.numpy.asarray(newton_schulz.COEFFICIENTS)

    def step(gradient, state):
        momentum, state = optax.trace(0.95, nesterov=True).update(gradient, state)
        update = _muon.orthogonalize_via_newton_schulz(momentum, coefficients, steps, eps=1e-7)
        return 0.2 * max(update.shape) ** 0.5 * update, state

    return jax.jit(step)


def oracle(weight, gradients, rates, steps=5):
    """Returns matrices `[..., rows, columns]` after all steps, each updated alone, in float64."""
    found = np.array(weight, np.float64)
    for index in np.ndindex(weight.shape[:-2]):
        state = optax.trace(0.95, nesterov=True).init(found[index])
        for gradient, rate in zip(gradients, rates, strict=True):
            update, state = oracle_step(steps)(gradient[index].astype(np.float64), state)
            found[index] -= rate * np.asarray(update)
    return found


# Dimensions of a weight with their sizes; the axes that give [heads, rows, columns] of its heads.
SHAPES = {
    "q": ({"d_model": 12, "heads": 4, "d_kv": 6}, [1, 0, 2]),
    "o": ({"heads": 4, "d_kv": 6, "d_model": 12}, [0, 1, 2]),
    "grouped": ({"d_model": 12, "heads": 2, "query_heads": 2, "d_kv": 6}, [1, 2, 0, 3]),
}
STEPS = 5
HEADS_MESHES = [
    ("", ""),
    (optimizer_run.MESH_2X2, "heads:cols"),
    (optimizer_run.MESH_2X2, "heads:rows,d_model:cols"),
]


def random_problem(sizes):
    """Returns an initial value and gradients."""
    random = np.random.RandomState(7)
    draws = [random.normal(size=sizes).astype("f") for _ in range(STEPS + 1)]
    return draws[0], draws[1:]


def check_one(value, gradients, dims, expected, mesh="", layout="", **settings):
    """Checks one weight after all steps."""
    rates = problem.rates(STEPS)
    states = optimizer_run.run(
        functools.partial(MuonOptimizer, **settings),
        {"weight": value},
        {"weight": dims},
        [{"weight": gradient} for gradient in gradients],
        rates,
        mesh,
        layout,
    )
    moved = np.abs(expected - value).max()
    np.testing.assert_allclose(states[-1]["weight"], expected, rtol=0, atol=1e-5 * moved + 1e-6)


def merged(value, dims):
    """Returns a value and its dimensions with those of heads as one, `heads`."""
    names = [name for name in dims if name in ("d_model", "heads")]
    sizes = [dims["d_model"] if name == "d_model" else -1 for name in names]
    return value.reshape(sizes), names


@pytest.mark.parametrize("is_merged", [False, True])
@pytest.mark.parametrize(("mesh", "layout"), slow.all_but(HEADS_MESHES[::2], HEADS_MESHES, str))
@pytest.mark.parametrize("name", SHAPES)
def test_fused_heads_are_one_matrix(name, mesh, layout, is_merged):
    dims, _ = SHAPES[name]
    value, gradients = random_problem(list(dims.values()))
    flat, names = merged(value, dims)
    flat_gradients = [merged(gradient, dims)[0] for gradient in gradients]
    expected = oracle(flat, flat_gradients, problem.rates(STEPS))
    if is_merged:
        check_one(flat, flat_gradients, names, expected, mesh, layout)
    else:
        check_one(value, gradients, list(dims), expected.reshape(value.shape), mesh, layout)


@pytest.mark.parametrize("is_merged", [False, True])
@pytest.mark.parametrize(("mesh", "layout"), slow.all_but(HEADS_MESHES[::2], HEADS_MESHES, str))
@pytest.mark.parametrize("name", SHAPES)
def test_per_head_each_head_is_a_matrix(name, mesh, layout, is_merged):
    dims, axes = SHAPES[name]
    value, gradients = random_problem(list(dims.values()))
    expected = oracle(
        value.transpose(axes), [g.transpose(axes) for g in gradients], problem.rates(STEPS)
    ).transpose(np.argsort(axes))
    names = list(dims)
    if is_merged:
        (value, names), expected = merged(value, dims), merged(expected, dims)[0]
        gradients = [merged(gradient, dims)[0] for gradient in gradients]
    check_one(value, gradients, names, expected, mesh, layout, per_head=True, head_size=6)


def test_per_head_a_projection_between_heads_is_one_matrix_for_each_head_of_its_outputs():
    value, gradients = random_problem([12, 24])  # q_solo_project of Primer, d_kv = 6.
    by_head = [x.reshape(12, 4, 6).transpose(1, 0, 2) for x in (value, *gradients)]
    expected = oracle(by_head[0], by_head[1:], problem.rates(STEPS)).transpose(1, 0, 2)
    settings = {"per_head": True, "head_size": 6}
    check_one(value, gradients, ["_heads", "heads"], expected.reshape(12, 24), **settings)


@pytest.mark.parametrize(
    "layout", ["", "experts:rows", "experts:rows,expert_hidden:cols", "d_model:rows"]
)
@pytest.mark.parametrize("per_head", [False, True])
def test_each_expert_is_a_matrix(layout, per_head):
    value, gradients = random_problem([4, 12, 8])
    expected = oracle(value, gradients, problem.rates(STEPS))
    mesh = optimizer_run.MESH_2X2 if layout else ""
    dims = ["experts", "d_model", "expert_hidden"]
    check_one(value, gradients, dims, expected, mesh, layout, per_head=per_head, head_size=6)


def test_the_number_of_steps_is_a_setting():
    value, gradients = random_problem([12, 8])
    expected = oracle(value, gradients, problem.rates(STEPS), steps=3)
    check_one(value, gradients, ["d_model", "d_ff"], expected, ns_steps=3)


def test_the_rates_of_updates_and_of_decay_reach_both_optimizers():
    """Only the decay changes weights whose rate is 0, by the rate that training sets for it."""

    def make(learning_rate):
        optimizer = MuonOptimizer(learning_rate, weight_decay=0.1, others=ADAMW, others_rate=0.5)
        optimizer.set_decay_rate(0.2, 1.0)
        return optimizer

    weights = problem.weights()
    gradients = problem.gradients(steps=1)
    states = optimizer_run.run(make, weights, problem.DIMS, gradients, [0.0])
    for name, value in weights.items():
        decay = 0.2 * 0.1 if name in MATRICES else 0.0 if name in VECTORS else 0.5 * 0.2 * 0.1
        np.testing.assert_allclose(states[0][name], (1.0 - decay) * value, rtol=1e-6)


def state_of(matrices=None):
    """Returns the names of all variables of state."""
    make = functools.partial(MuonOptimizer, matrices=matrices)
    gradients = problem.gradients(steps=1)
    states = optimizer_run.run(make, problem.weights(), problem.DIMS, gradients, [0.1])
    return {name for name in states[0] if "_slot_" in name or name.endswith("_updates")}


def state_with(matrices):
    """Returns the names of state where Muon is for some matrices, and AdamW for all others."""
    others = set(problem.DIMS) - set(matrices)
    moments = {f"{name}_slot_adam_{m}" for name in others for m in "mv"}
    return {f"{name}_slot_momentum" for name in matrices} | moments | {"adamw_updates"}


def test_muon_is_for_the_matrices_alone():
    """So a change to AdamW begins the moments of matrices anew, and the count of their updates."""
    assert state_of() == state_with(MATRICES)


def test_patterns_restrict_muon_to_some_matrices():
    assert state_of(["/q$"]) == state_with(["layer/q"]) | {"adamw_matrices_updates"}


@pytest.mark.parametrize(
    ("pattern", "weight"),
    [
        ("layer/", "layer/norm/scale [d_model=8], which is a vector and no matrix"),
        ("^emb", "embedding [vocab=12, d_model=8], which is a table and no matrix"),
    ],
)
def test_muon_on_another_weight_is_refused(pattern, weight):
    message = f"MuonOptimizer.matrices: {pattern!r} is found in {weight}"
    with pytest.raises(UsageError, match=re.escape(message)):
        state_of([pattern])


def test_names_are_checked_before_the_first_step():
    names = list(problem.DIMS)
    MuonOptimizer(1e-3, 0.1, ["embedding"], matrices=["/q$"]).check(names)
    with pytest.raises(UsageError, match="MuonOptimizer.matrices: 'mlp' is found in the name of n"):
        MuonOptimizer(1e-3, matrices=["/q$", "mlp"]).check(names)
    with pytest.raises(UsageError, match="MuonOptimizer.exclude_from_weight_decay: 'mlp' is found"):
        MuonOptimizer(1e-3, 0.1, ["mlp"]).check(names)
    others = functools.partial(AdamWOptimizer, exclude_from_weight_decay=["mlp"])
    with pytest.raises(UsageError, match="AdamWOptimizer.exclude_from_weight_decay: 'mlp' is fo"):
        MuonOptimizer(1e-3, others=others).check(names)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"momentum": 1.0}, "MuonOptimizer.momentum = 1.0: expected a number from 0 to below 1"),
        ({"nesterov": 1}, "MuonOptimizer.nesterov = 1: expected True or False"),
        ({"ns_steps": 0}, "MuonOptimizer.ns_steps = 0: expected a whole number of 1 or more"),
        ({"update_scale": "adam"}, 'update_scale = \'adam\': expected "rms" or "spectral"'),
        ({"per_head": "yes"}, "MuonOptimizer.per_head = 'yes': expected True or False"),
        ({"per_head": True}, "MuonOptimizer.head_size = None: expected a whole number of 1 or mo"),
        ({"matrices": "/q$"}, r"matrices = '/q\$': expected a list of regular expressions"),
        ({"matrices": ["("]}, r"MuonOptimizer.matrices = '\(': expected a regular expression"),
        ({"others_rate": -1.0}, "MuonOptimizer.others_rate = -1.0: expected a number of 0 or more"),
        ({"weight_decay": None}, "MuonOptimizer.weight_decay = None: expected a number of 0 or m"),
        ({"others": "AdamWOptimizer"}, "MuonOptimizer.others = 'AdamWOptimizer': expected an opt"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        MuonOptimizer(1e-3, **settings)


def test_a_head_size_that_does_not_divide_is_refused():
    message = "MuonOptimizer.head_size = 3: layer/q has 8 channels of heads, which is no multiple"
    with pytest.raises(UsageError, match=message):
        optimizer_run.run_problem(functools.partial(MuonOptimizer, per_head=True, head_size=3))
