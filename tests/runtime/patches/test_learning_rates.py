"""Learning rates by patterns of variables' names, in a run of `utils.run`; none is negative."""

import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import learning_rate_schedules as schedules

from primer.common import graph_marks
from primer.errors import UsageError
from primer.runtime.patches import learning_rates
from tests.runtime import tiny

# Both patterns match the embedding's name; the first has the rate 0.
SCHEDULES = (
    "utils.run.optimizer = @{name}",
    "{name}.variable_search = ['embedding', 'embedding|/o$']",
    "{name}.alt_lr_schedules = [[0.0], None]",
    "utils.run.train_steps = 2",
    "utils.run.learning_rate_schedule = 0.01",
)


def change(model_dir):
    """Returns {name: the largest change} of the weights from step 0 to step 2."""
    before, after = tiny.variables(model_dir, 0), tiny.variables(model_dir, 2)
    slots = re.compile("slot|adam_[mv]$")
    weights = [name for name in before if not slots.search(name) and before[name].ndim]
    return {name: np.abs(after[name] - before[name]).max() for name in weights}


@pytest.mark.parametrize("name", ["AdafactorWithMultiLRSchedule", "AdamWithMultiLRSchedule"])
def test_the_first_matching_pattern_decides(name, tmp_path):
    tiny.run(tmp_path, *(line.format(name=name) for line in SCHEDULES))
    changed = change(tmp_path)
    still = {name for name, most in changed.items() if most == 0}
    assert still == {name for name in changed if "embedding" in name} != set()


def test_patterns_and_schedules_must_be_as_many(tmp_path):
    lines = [line.format(name="AdamWithMultiLRSchedule") for line in SCHEDULES]
    with pytest.raises((UsageError, SystemExit)):
        tiny.run(tmp_path, *lines, "AdamWithMultiLRSchedule.alt_lr_schedules = [[0.0]]")


@pytest.mark.parametrize(
    "schedule, rate_at_20, rate_at_5",
    [
        (lambda step: schedules.linear_decay(step, 10, 1.0), 0.0, 0.5),
        (lambda step: schedules.linear_decay_learning_rate(step, 10, 0.1), 0.0, 0.05),
        (lambda step: schedules.learning_rate_schedule_noam(step, 10, 1, 1.0), 0.0, 0.5 / 5**0.5),
        (lambda step: schedules.slanted_triangular(step, 10), 0.0, 0.005694),
        (lambda step: schedules.product_learning_rate(step, 99, [schedules.linear_warmup], 10),
         10 / 1e4, 0.0),
        (lambda step: 2.0, 2.0, 2.0),
    ],
)  # fmt: skip
def test_a_rate_is_never_negative(schedule, rate_at_20, rate_at_5):
    rate = learning_rates.not_negative(schedule)
    with tf.Graph().as_default(), tf.Session() as sess:
        step = tf.placeholder(tf.int64, [])
        value = tf.convert_to_tensor(rate(step=step))
        found = [sess.run(value, {step: number}) for number in (20, 5)]
    np.testing.assert_allclose(found, [rate_at_20, rate_at_5], rtol=1e-4)


def test_a_rate_that_is_a_number_is_not_negative():
    """It is known to the graph, like the rate of a schedule."""
    for rate in (0.1, 0):
        with tf.Graph().as_default():
            assert learning_rates.not_negative(rate)(step=3) == rate
            assert graph_marks.schedule()[0] == rate
    assert learning_rates.not_negative(None) is None
    with pytest.raises(UsageError, match="learning_rate_schedule = -0.1"):
        learning_rates.not_negative(-0.1)


def test_the_rates_of_patterns_are_not_negative(tmp_path):
    lines = [line.format(name="AdafactorWithMultiLRSchedule") for line in SCHEDULES]
    tiny.run(
        tmp_path,
        *lines,
        "AdafactorWithMultiLRSchedule.alt_lr_schedules = [[-1.0], None]",
    )
    changed = change(tmp_path)
    assert all(changed[name] == 0 for name in changed if "embedding" in name)
