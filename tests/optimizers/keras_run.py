"""Runs an optimizer of Keras 3 on the problem in float64: a second oracle."""

import contextlib

import numpy as np
import pytest
from tensorflow.python.eager import context

from tests.optimizers import optimizer_run, problem


def run(make, excluded=problem.VECTORS):
    """Returns the weights after each step.

    Args:
        make: a function of Keras' module of optimizers that returns one.
        excluded: the names of the weights that do not decay.
    """
    keras = pytest.importorskip("keras", minversion="3")  # TensorFlow 2.15's has no LAMB.
    with context.eager_mode(), _float64(keras):
        weights = {
            name: keras.Variable(value, dtype="float64", name=name.replace("/", "_"))
            for name, value in problem.weights().items()
        }
        optimizer = make(keras.optimizers)
        optimizer.exclude_from_weight_decay(var_list=[weights[name] for name in excluded])
        optimizer.build(list(weights.values()))
        return list(_steps(optimizer, weights))


def check(make_ours, make_keras, mesh, layout):
    """Checks the weights after each step, as `optimizer_run.check`."""
    optimizer_run.check(make_ours, run(make_keras), mesh, layout)


@contextlib.contextmanager
def _float64(keras):
    """Gives the learning rate and the optimizer's state the type of the weights."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def _steps(optimizer, weights):
    for gradients, rate in zip(problem.gradients(), problem.rates(), strict=True):
        optimizer.learning_rate = rate
        optimizer.apply(
            [gradients[name].astype(np.float64) for name in weights], list(weights.values())
        )
        yield {name: variable.numpy() for name, variable in weights.items()}
