"""Runs an optimizer of Keras 3 on the problem: a second oracle, in float32."""

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
    with context.eager_mode():
        variables = {
            name: keras.Variable(value, name=name.replace("/", "_"))
            for name, value in problem.weights().items()
        }
        optimizer = make(keras.optimizers)
        optimizer.exclude_from_weight_decay(var_list=[variables[name] for name in excluded])
        optimizer.build(list(variables.values()))
        found = []
        for gradients, rate in zip(problem.gradients(), problem.rates(), strict=True):
            optimizer.learning_rate = rate
            optimizer.apply(
                [keras.ops.convert_to_tensor(gradients[name]) for name in variables],
                list(variables.values()),
            )
            found.append({name: value.numpy() for name, value in variables.items()})
    return found


def check(make_ours, make_keras, mesh, layout):
    """Checks the weights after each step to 1e-5 of what they have moved so far.

    Both round: each step's weights to a unit in their last place, and the step itself to a few.
    """
    optimizer_run.check(make_ours, run(make_keras), mesh, layout, rounded=2)
