"""Our presets of Lingvo's optimizers train a GShard model as Lingvo trains it, for four steps.

PRIMER_PARITY_DIR names another folder with a golden file of other sizes.
"""

import functools

import numpy as np
import pytest

from tests.optimizers import gshard_model, optimizer_run, preset

# Lingvo's name of a run -> our preset, and what differs from it.
RUNS = {
    "adam": ("adam_lingvo", ()),
    "adafactor": ("adafactor_lingvo", ()),
    "adafactor_factored": (
        "adafactor_lingvo",
        ("adafactor_lingvo/AdafactorOptimizer.min_dim_size_to_factor = 16",),
    ),
}
STEPS = 4


@functools.cache
def golden():
    return gshard_model.Golden()


def dims(name):
    """Returns the names of the dimensions of a variable of Lingvo's, as a mesh splits them."""
    kind = name.split("/")[-2]
    heads_and_width = {"wq": ("d_model", "heads"), "wo": ("d_ff", "d_model")}
    of_kind = {
        "scale": ("d_model",),
        "embedding": ("vocab", "d_model"),
        "wrb": ("heads", "buckets"),
        "wk": heads_and_width["wq"],
        "wv": heads_and_width["wq"],
        "wi_0": ("d_model", "d_ff"),
        "wi_1": ("d_model", "d_ff"),
    }
    return {**heads_and_width, **of_kind}[kind]


@functools.cache
def trained(run):
    """Returns the losses before each step, and the weights after each step."""
    name, bindings = RUNS[run]
    losses = []

    def gradients(weights):
        loss, found = gshard_model.gradients({n: weights[n] for n in golden().weights}, golden())
        losses.append(float(loss))
        return {n: np.asarray(g, np.float32) for n, g in found.items()}

    states = optimizer_run.run(
        preset.optimizer(name, bindings),
        golden().weights,
        {n: dims(n) for n in golden().weights},
        gradients,
        golden().arrays[f"train/{run}/lr"],
    )
    return losses, states


def one_step(run, gradients, *bindings):
    """Returns the weights and the state after one step with given gradients."""
    name, of_run = RUNS[run]
    (state,) = optimizer_run.run(
        preset.optimizer(name, (*of_run, *bindings)),
        golden().weights,
        {n: dims(n) for n in golden().weights},
        [gradients],
        golden().arrays[f"train/{run}/lr"][:1],
    )
    return state


def weights_after(run, step):
    """Returns Lingvo's {name: weight} after a step; a file may lack all but the last step."""
    return golden().by_prefix(f"train/{run}/after{step}/")


def test_the_oracle_is_lingvos_model():
    logits, loss = gshard_model.logits_and_loss(golden().weights, golden())
    np.testing.assert_allclose(logits, golden().arrays["packed/logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(loss, golden().arrays["packed/loss"], rtol=1e-5)


def test_the_oracles_gradients_are_lingvos():
    _, found = gshard_model.gradients(golden().weights, golden())
    norms, whole = (golden().by_prefix(f"packed/{kind}/") for kind in ("gradnorm", "grad"))
    assert set(norms) == set(found)
    for name, value in norms.items():
        np.testing.assert_allclose(np.linalg.norm(found[name]), value, rtol=1e-4, err_msg=name)
    for name, value in whole.items():  # Not every file has them.
        atol = 1e-5 * np.abs(value).max()
        np.testing.assert_allclose(found[name], value, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("run", RUNS)
def test_four_steps_have_lingvos_losses_and_weights(run):
    """Weights: to 3e-4 of what each has moved, in the L2 norm.

    Lingvo's gradients are float32, with errors of 1e-6 of the largest. Both optimizers divide a
    gradient by its own size: where it is small, the error is not. The oracle in float32 and float64
    differs by up to 7e-5 in other models of this size; a wrong epsilon of Adam's by 2e-2.
    """
    losses, states = trained(run)
    np.testing.assert_allclose(losses, golden().arrays[f"train/{run}/losses"], rtol=1e-5)
    expected = weights_after(run, STEPS)
    assert set(expected) == set(golden().weights) and len(states) == STEPS
    for name, value in expected.items():
        moved = np.linalg.norm(value - golden().weights[name])
        assert moved > 0
        assert np.linalg.norm(states[-1][name] - value) < 3e-4 * moved, name


@pytest.mark.parametrize("run", RUNS)
def test_the_first_update_is_lingvos(run):
    """From Lingvo's own gradients: to 1e-5 of what each weight has moved, and its rounding."""
    gradients, expected = golden().by_prefix("packed/grad/"), weights_after(run, 1)
    if not gradients or not expected:
        pytest.skip(f"{gshard_model.PATH} has no gradients or no weights after the first step")
    state = one_step(run, gradients)
    for name, value in expected.items():
        rounding = np.finfo(np.float32).eps * np.abs(value).max()
        atol = 1e-5 * np.abs(value - golden().weights[name]).max() + rounding
        np.testing.assert_allclose(state[name], value, rtol=0, atol=atol, err_msg=name)


def test_the_golden_runs_distinguish_the_settings():
    assert any("_slot_vr" in name for name in trained("adafactor_factored")[1][-1])
    assert not any("_slot_vr" in name for name in trained("adafactor")[1][-1])
    gradients = gshard_model.gradients(golden().weights, golden())[1]
    gradients = {name: np.asarray(value, np.float32) for name, value in gradients.items()}
    wrong = one_step("adam", gradients, "adam_lingvo/AdamWOptimizer.corrects_epsilon = False")
    right = trained("adam")[1][0]
    table = next(name for name in golden().weights if name.endswith("/embedding/var"))
    moved = np.linalg.norm(right[table] - golden().weights[table])
    assert np.linalg.norm(wrong[table] - right[table]) > 1e-2 * moved
