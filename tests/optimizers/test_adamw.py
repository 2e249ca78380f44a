"""AdamW equals optax for twenty steps, on one device and on a mesh."""

import functools

import numpy as np
import optax
import pytest

from primer.errors import UsageError
from primer.optimizers.adamw import AdamWOptimizer
from tests.optimizers import keras_run, optax_run, optimizer_run, problem


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_it_equals_optax(mesh, layout):
    ours = functools.partial(AdamWOptimizer, weight_decay=0.1, beta1=0.9, beta2=0.95)

    def theirs(rate):
        return optax.adamw(rate, 0.9, 0.95, 1e-8, weight_decay=0.1, mask=optax_run.no_vectors)

    optimizer_run.check(ours, optax_run.run(theirs), mesh, layout)


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
@pytest.mark.parametrize("epsilon", [1e-8, 1e-2])
def test_with_a_corrected_epsilon_it_equals_keras(epsilon, mesh, layout):
    ours = functools.partial(
        AdamWOptimizer, weight_decay=0.1, epsilon=epsilon, corrects_epsilon=True
    )
    keras_run.check(
        ours,
        lambda optimizers: optimizers.AdamW(0.1, 0.1, 0.9, 0.95, epsilon),
        mesh,
        layout,
    )


def test_without_bias_correction_it_is_that_of_bert_and_gpt_neo():
    """The update is m / (sqrt(v) + epsilon) + decay * w."""
    states = optimizer_run.run_problem(
        functools.partial(AdamWOptimizer, weight_decay=0.1, bias_correction=False, beta2=0.999)
    )
    weights = problem.weights()
    m = {name: np.zeros_like(value) for name, value in weights.items()}
    v = {name: np.zeros_like(value) for name, value in weights.items()}
    for gradients, rate, state in zip(problem.gradients(), problem.rates(), states, strict=True):
        for name, g in gradients.items():
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.999 * v[name] + 0.001 * g**2
            decay = 0.0 if len(g.shape) == 1 else 0.1
            weights[name] = weights[name] - rate * (
                m[name] / (np.sqrt(v[name]) + 1e-8) + decay * weights[name]
            )
            np.testing.assert_allclose(state[name], weights[name], rtol=1e-5, atol=1e-6)


def test_rows_without_a_gradient_are_updated():
    """Tensor2Tensor's `adam` is lazy: it skips the rows of tokens that are not in the batch."""
    gradients = problem.gradients()[:2]
    row = problem.UNSEEN_ROW
    gradients[0]["embedding"][row] = 1.0  # In the first batch, and not in the second.
    first, second = optimizer_run.run(
        AdamWOptimizer, problem.weights(), problem.DIMS, gradients, [0.01, 0.01]
    )
    assert np.all(second["embedding"][row] < first["embedding"][row])
    moments = [state["embedding_slot_adam_m"][row] for state in (first, second)]
    np.testing.assert_allclose(moments[1], 0.9 * moments[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight_decay": -0.1}, "AdamWOptimizer.weight_decay = -0.1: expected a number of 0 or m"),
        ({"beta1": 1.0}, "AdamWOptimizer.beta1 = 1.0: expected a number from 0 to below 1"),
        ({"beta2": "high"}, "AdamWOptimizer.beta2 = 'high': expected a number from 0 to below 1"),
        ({"epsilon": 0.0}, "AdamWOptimizer.epsilon = 0.0: expected a number above 0"),
        ({"bias_correction": None}, "AdamWOptimizer.bias_correction = None: expected True or F"),
        ({"corrects_epsilon": 1}, "AdamWOptimizer.corrects_epsilon = 1: expected True or False"),
        (
            {"corrects_epsilon": True, "bias_correction": False},
            "AdamWOptimizer.corrects_epsilon = True: expected False, because AdamWOptimizer.bias_",
        ),
        ({"exclude_from_weight_decay": "wi"}, "_from_weight_decay = 'wi': expected a list of reg"),
        ({"exclude_from_weight_decay": ["("]}, r"exclude_from_weight_decay = '\(': expected a reg"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        AdamWOptimizer(1e-3, **settings)


def test_an_excluded_name_that_no_weight_has_is_refused():
    optimizer = AdamWOptimizer(1e-3, 0.1, exclude_from_weight_decay=["embeding"])
    with pytest.raises(UsageError, match="'embeding' is found in the name of no weight"):
        optimizer.check(list(problem.DIMS))
