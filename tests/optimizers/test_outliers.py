"""Steps are skipped as OLMo-core's rule in numpy says, and a skipped step changes nothing."""

import functools

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.optimizers import AdamWOptimizer, TrainingOptimizer
from tests.optimizers import optimizer_run, problem

ADAMW = functools.partial(AdamWOptimizer, weight_decay=0.1)
WINDOW = 6
COUNTS = ("outliers/", "scalars/", "global_step")


def skipping(deviations=2.0, inner=ADAMW, **settings):
    settings = {"outlier_window": WINDOW, **settings}
    return functools.partial(TrainingOptimizer, inner, skip_outliers=deviations, **settings)


def losses(**changes):
    """Returns a loss for each step; `step_7=50.0` sets one (steps from 0)."""
    random = np.random.RandomState(2)
    found = list(3.0 + 0.1 * random.normal(size=problem.STEPS))
    for name, value in changes.items():
        found[int(name.removeprefix("step_"))] = value
    return found


def oracle(values, window=WINDOW):
    """Returns the deviations of each step from the finite steps before it, in float64.

    Args:
        values: (loss, gradient norm) of each step.

    Returns:
        A pair of deviations for each step: 0 before there are enough, NaN where a value is no
        number.
    """
    history, found = [], []
    for pair in values:
        last = np.array(history[-window:], np.float64)
        if len(last) < max(2, window // 2):
            found.append((0.0, 0.0))
        else:
            found.append(tuple((pair - last.mean(0)) / last.std(0, ddof=1)))
        if np.isfinite(pair).all():
            history.append(pair)
    return np.array(found)


def values_of(gradients, all_losses):
    norms = [np.sqrt(sum(np.sum(np.float64(g) ** 2) for g in step.values())) for step in gradients]
    return np.array(list(zip(all_losses, norms, strict=True)))


def run(make, gradients, all_losses, mesh="", layout="", dtype=tf.float32):
    return optimizer_run.run(
        make,
        problem.weights(),
        problem.DIMS,
        gradients,
        problem.rates(),
        mesh,
        layout,
        losses=all_losses,
        activation_dtype=dtype,
    )


def changed(before, after):
    """Returns the variables that a step changed, apart from the counts of outliers."""
    names = [name for name in after if not name.startswith(COUNTS)]
    return {name for name in names if not np.array_equal(before[name], after[name])}


def cases():
    """Returns gradients and losses with outliers of both kinds, two of them in a row."""
    gradients = problem.gradients()
    gradients[12] = {name: 30 * value for name, value in gradients[12].items()}
    return gradients, losses(step_7=50.0, step_8=60.0, step_15=-40.0)


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_steps_are_skipped_as_olmo_does(mesh, layout):
    """Above the mean only; every finite value enters the window."""
    gradients, all_losses = cases()
    deviations = oracle(values_of(gradients, all_losses))
    skipped = (deviations > 2.0).any(1)
    assert skipped[[7, 12]].all() and not skipped[15] and 2 <= skipped.sum() < 8
    states = run(skipping(), gradients, all_losses, mesh, layout)
    for number, state in enumerate(states):
        before = states[number - 1] if number else None
        if before is not None:
            assert bool(changed(before, state)) != skipped[number], number
        assert state["outliers/skipped"] == skipped[: number + 1].sum()
        found = [state[f"scalars/{n}_deviation"] for n in ("loss", "gradient_norm")]
        np.testing.assert_allclose(found, deviations[number], rtol=1e-3, atol=1e-4)
        spikes = (np.abs(deviations[: number + 1]) >= 2.0).any(1)
        np.testing.assert_allclose(state["scalars/spike_score"], spikes.mean(), rtol=1e-6)


def spoiled(kind, value):
    """Returns gradients and losses, of which those of steps 0 and 5 have a value that is none."""
    gradients, all_losses = problem.gradients(), losses()
    for step in (0, 5):
        if kind == "loss":
            all_losses[step] = value
        else:
            gradients[step]["layer/q"][1, 2] = value
    return gradients, all_losses


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_step_that_is_not_finite_leaves_no_trace(kind, value):
    """Also the very first; all that follows is as without it, apart from the schedule."""
    gradients, all_losses = spoiled(kind, value)
    make = skipping(100.0, average_decay=0.9, accumulate_steps=2)
    states = run(make, gradients, all_losses)
    for state in states:
        for name, found in state.items():
            assert name.startswith("scalars/") or np.isfinite(found).all(), name
    assert not changed(states[4], states[5])
    assert states[-1]["outliers/skipped"] == 2
    kept = [step for step in range(problem.STEPS) if step not in (0, 5)]
    rates = problem.rates()
    without = optimizer_run.run(
        make,
        problem.weights(),
        problem.DIMS,
        [gradients[step] for step in kept],
        [rates[step] for step in kept],
        losses=[all_losses[step] for step in kept],
    )
    for name, found in without[-1].items():
        if name not in ("global_step", "outliers/skipped", "outliers/steps", "outliers/spikes"):
            if not name.startswith("scalars/"):
                np.testing.assert_array_equal(states[-1][name], found, err_msg=name)


class Velocity(mtf.optimize.Optimizer):
    """Momentum whose slots have the types of the weights, as Mesh-TF's, but computed in float32."""

    def __init__(self, learning_rate):
        self._rate = learning_rate

    def apply_grad(self, grad, var):
        velocity = mtf.get_variable(
            var.mesh,
            f"{var.name}_velocity",
            var.shape,
            dtype=var.dtype,
            initializer=tf.zeros_initializer(),
            trainable=False,
        )
        new = 0.9 * mtf.to_float(velocity) + mtf.to_float(grad)
        return [mtf.assign(velocity, new), mtf.assign_sub(var, new * self._rate)]


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_slots_that_are_seen_rounded_stay_bit_for_bit(mesh, layout):
    """With bfloat16 activations an optimizer sees slots of the weights' types in bfloat16."""
    gradients, all_losses = spoiled("gradient", np.nan)
    states = run(skipping(100.0, Velocity), gradients, all_losses, mesh, layout, tf.bfloat16)
    slot = states[4]["layer/q_velocity"]
    assert not np.array_equal(slot, slot.astype(tf.bfloat16.as_numpy_dtype).astype("f"))
    assert not changed(states[4], states[5])
    assert changed(states[5], states[6])


def test_the_numbers_of_skipped_steps_are_among_the_scalars():
    all_losses = losses(step_7=np.nan, step_8=np.nan, step_9=np.nan, step_11=np.nan)
    states = run(skipping(100.0), problem.gradients(), all_losses)
    found = [
        (int(s["scalars/skipped_steps"]), int(s["scalars/skipped_steps_in_a_row"])) for s in states
    ]
    assert found[6:13] == [(0, 0), (1, 1), (2, 2), (3, 3), (3, 0), (4, 1), (4, 0)]


def test_the_score_alone_skips_nothing():
    gradients, all_losses = cases()
    scored = functools.partial(TrainingOptimizer, ADAMW, spike_threshold=3.0, outlier_window=WINDOW)
    states = run(scored, gradients, all_losses)
    alone = run(ADAMW, gradients, all_losses)
    for name, value in alone[-1].items():
        np.testing.assert_array_equal(states[-1][name], value, err_msg=name)
    deviations = oracle(values_of(gradients, all_losses))
    score = (np.abs(deviations) >= 3.0).any(1).mean()
    assert 0 < score < 0.5
    np.testing.assert_allclose(states[-1]["scalars/spike_score"], score, rtol=1e-6)
    assert "scalars/skipped_steps" not in states[-1]


def test_the_score_has_a_threshold_of_its_own():
    gradients, all_losses = cases()
    states = run(skipping(1000.0, spike_threshold=3.0), gradients, all_losses)
    score = (np.abs(oracle(values_of(gradients, all_losses))) >= 3.0).any(1).mean()
    np.testing.assert_allclose(states[-1]["scalars/spike_score"], score, rtol=1e-6)
    assert states[-1]["scalars/skipped_steps"] == 0


@pytest.mark.parametrize("window", [2, 3, 20])
def test_nothing_is_skipped_before_half_a_window(window):
    """Where one value is known its standard deviation is not."""
    all_losses = [3.0 + 10.0**step for step in range(problem.STEPS)]  # Each one an outlier.
    states = run(skipping(0.5, outlier_window=window), problem.gradients(), all_losses)
    first = next(n for n, state in enumerate(states) if state["outliers/skipped"])
    assert first == max(2, window // 2)


def test_without_the_loss_of_training_it_is_refused():
    with tf.Graph().as_default():
        mesh = mtf.Mesh(mtf.Graph(), "mesh")
        shape = mtf.Shape([mtf.Dimension("d_model", 2)])
        mtf.get_variable(mesh, "w", shape)
        optimizer = TrainingOptimizer(ADAMW, 1e-3, skip_outliers=6.0)
        with pytest.raises(UsageError, match="need the loss of training"):
            optimizer.apply_grads([mtf.ones(mesh, shape)], mesh.graph.trainable_variables)
