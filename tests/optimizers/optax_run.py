"""Runs an optax optimizer on the problem in float64: an oracle without rounding errors."""

from collections.abc import Callable

import jax
import numpy as np
import optax

from tests.optimizers import problem

# A comparison in float32 would see the rounding errors of both.
jax.config.update("jax_enable_x64", True)


def run(make: Callable[[float], optax.GradientTransformation]) -> list[dict[str, np.ndarray]]:
    """Returns the weights after each step.

    Args:
        make: the optimizer for a learning rate. Its state is kept when the rate changes.
    """

    @jax.jit
    def step(rate, gradients, state, weights):
        return make(rate).update(gradients, state, weights)

    weights = _double(problem.weights())
    state = make(0.0).init(weights)
    found = []
    for gradients, rate in zip(problem.gradients(), problem.rates(), strict=True):
        changes, state = step(rate, _double(gradients), state, weights)
        weights = optax.apply_updates(weights, changes)
        found.append({name: np.asarray(value) for name, value in weights.items()})
    return found


def no_vectors(weights: dict) -> dict:
    """Returns which weights decay: those with more than one dimension."""
    return jax.tree.map(lambda x: x.ndim > 1, weights)


def _double(weights):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), weights)
