"""The values of schedules at many steps at once, and steps worth looking at."""

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.python.eager import context

from primer.common import graph_marks

# Near 16.7 million float32 has no odd numbers.
LONG = 10_000_000


def rates(schedule, steps, total, **settings):
    """Returns the rates of a schedule at an array of steps, in float32."""
    return rates_and_remarks(schedule, steps, total, **settings)[0]


def rates_and_remarks(schedule, steps, total, **settings):
    """Returns the rates, and the schedule's remarks."""
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.constant(np.asarray(steps, np.int64))
        rate = schedule(step=step, total_train_steps=total, **settings)
        assert rate.dtype == tf.float32
        values = session.run(rate)
        return np.broadcast_to(values, np.shape(steps)), graph_marks.remarks()


def steps_of(total, *special):
    """Returns steps from 0 to beyond the end, with those around each special one."""
    found = {*np.linspace(0, 1.5 * total, 301).astype(int).tolist()}
    for step in (0, total, *special):
        found |= {int(step) + offset for offset in (-2, -1, 0, 1, 2)}
    return np.array(sorted(step for step in found if step >= 0))


def keras(schedule, steps):
    """Returns the rates of a schedule of tf.keras."""
    with context.eager_mode():
        return np.array([float(schedule(int(step))) for step in steps])


def optax(schedule, steps):
    """Returns the rates of a schedule of optax in float64."""
    return np.array([float(schedule(int(step))) for step in steps])


def assert_close(found, expected, peak, tolerance=1e-6):
    """Compares rates relative to the highest."""
    assert np.shape(found) == np.shape(expected)
    worst = np.max(np.abs(np.asarray(found, np.float64) - expected)) / peak
    assert worst < tolerance, worst
