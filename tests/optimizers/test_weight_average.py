"""The moving average of weights equals TensorFlow's ExponentialMovingAverage."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints import averaging
from primer.optimizers import AdamWOptimizer, TrainingOptimizer, weight_average
from tests.optimizers import optimizer_run, problem

DECAY = 0.6  # From the seventh update on it is below (1 + t) / (10 + t).
ADAMW = functools.partial(AdamWOptimizer, weight_decay=0.1)


def averaged(inner=ADAMW, decay=DECAY, **settings):
    return functools.partial(TrainingOptimizer, inner, average_decay=decay, **settings)


def expected(values, initial):
    """Returns TensorFlow's averages, in float64, of the values of a weight after each update."""
    with tf.Graph().as_default():
        weight = tf.get_variable("w", initializer=initial.astype(np.float64), use_resource=True)
        number = tf.placeholder(tf.float64, [])
        average = tf.train.ExponentialMovingAverage(DECAY, num_updates=number)
        apply = average.apply([weight])
        found = []
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            for update, value in enumerate(values):
                weight.load(value.astype(np.float64), sess)
                sess.run(apply, {number: update})
                found.append(sess.run(average.average(weight)))
    return found


def lag(name):
    return f"{name}_slot_{weight_average.SLOT}"


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_it_equals_tensorflows(mesh, layout, dtype):
    """With bfloat16 activations the optimizer sees rounded weights, and the average does not."""
    states = optimizer_run.run_problem(averaged(), mesh, layout, activation_dtype=dtype)
    for name, initial in problem.weights().items():
        averages = expected([state[name] for state in states], initial)
        for state, average in zip(states, averages, strict=True):
            moved = np.abs(average - initial).max()
            rounding = 10 * np.finfo(np.float32).eps * np.abs(initial).max()
            ours = state[name].astype(np.float64) + state[lag(name)]
            np.testing.assert_allclose(ours, average, rtol=0, atol=1e-5 * moved + rounding)


def test_weights_do_not_depend_on_it():
    states = optimizer_run.run_problem(averaged())
    for state, alone in zip(states, optimizer_run.run_problem(ADAMW), strict=True):
        for name, value in alone.items():
            np.testing.assert_array_equal(state[name], value, err_msg=name)


def test_it_follows_updates_not_steps():
    states = optimizer_run.run_problem(averaged(accumulate_steps=4))
    updates = states[3::4]
    for name, initial in problem.weights().items():
        averages = expected([state[name] for state in updates], initial)
        ours = [state[name].astype(np.float64) + state[lag(name)] for state in updates]
        np.testing.assert_allclose(ours, averages, rtol=1e-5, atol=1e-6)
    assert [state["average_updates"] for state in states[:9]] == [0, 0, 0, 1, 1, 1, 1, 2, 2]


def test_readers_of_checkpoints_know_the_name():
    assert averaging.LAG == f"_slot_{weight_average.SLOT}"
