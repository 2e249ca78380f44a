"""Runs an optimizer of Keras 3 on the problem in float64."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.optimizers import problem


def run(make: Callable[..., Any], not_decaying: Sequence[str]) -> list[dict[str, np.ndarray]]:
    """Returns the weights after each step.

    Args:
        make: the optimizer, called with a learning rate.
        not_decaying: the names of weights without decay.
    """
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx("float64")  # Of the rate, and of the optimizer's state.
    try:
        weights = {
            name: keras.Variable(value, dtype="float64", name=_keras_name(name))
            for name, value in problem.weights().items()
        }
        optimizer = make(1.0)
        optimizer.exclude_from_weight_decay(var_names=[_keras_name(n) for n in not_decaying])
        optimizer.build(list(weights.values()))
        return list(_steps(optimizer, weights))
    finally:
        keras.config.set_floatx(before)


def _steps(optimizer, weights):
    for gradients, rate in zip(problem.gradients(), problem.rates(), strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([gradients[name].astype(np.float64) for name in weights])
        yield {name: variable.numpy() for name, variable in weights.items()}


def _keras_name(name):
    return name.replace("/", "_")
