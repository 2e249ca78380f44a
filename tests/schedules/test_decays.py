"""Schedules that rise and then decay to a floor, against optax and tf.keras."""

import jax
import numpy as np
import optax
import pytest
import tensorflow as tf2

from primer import schedules
from primer.errors import UsageError
from tests.schedules import values

# In float32 optax's own steps would be rounded.
jax.config.update("jax_enable_x64", True)

PEAK = 6e-4
TOTALS = [1000, values.LONG]
totals = pytest.mark.parametrize("total", TOTALS)


def in_steps(total):
    """A warmup and an end of the decay in whole steps."""
    return total // 20, total * 4 // 5


@totals
@pytest.mark.parametrize("floor", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("initial", [0.0, 0.25])
def test_cosine_is_that_of_optax(total, floor, initial):
    warmup, end = in_steps(total)
    steps = values.steps_of(total, warmup, end)
    oracle = optax.warmup_cosine_decay_schedule(
        initial * PEAK, PEAK, warmup, end, end_value=floor * PEAK
    )
    found = values.rates(
        schedules.cosine_schedule,
        steps,
        total,
        learning_rate=PEAK,
        warmup_steps=warmup,
        initial_fraction=initial,
        decay_steps=end,
        final_fraction=floor,
    )
    values.assert_close(found, values.optax(oracle, steps), PEAK)


def test_cosine_is_that_of_keras():
    warmup, end = in_steps(1000)
    steps = values.steps_of(1000, warmup, end)
    oracle = tf2.keras.optimizers.schedules.CosineDecay(
        0.0, end - warmup, alpha=0.1, warmup_target=PEAK, warmup_steps=warmup
    )
    found = values.rates(
        schedules.cosine_schedule,
        steps,
        1000,
        learning_rate=PEAK,
        warmup_steps=warmup,
        decay_steps=end,
        final_fraction=0.1,
    )
    values.assert_close(found, values.keras(oracle, steps), PEAK, 1e-5)


@totals
@pytest.mark.parametrize("power", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_polynomial_is_that_of_optax(total, power, floor):
    warmup, end = in_steps(total)
    steps = values.steps_of(total, warmup, end)
    oracle = optax.join_schedules(
        [
            optax.linear_schedule(0.0, PEAK, warmup),
            optax.polynomial_schedule(PEAK, floor * PEAK, power, end - warmup),
        ],
        [warmup],
    )
    expected = values.optax(oracle, steps)
    settings = dict(learning_rate=PEAK, warmup_steps=warmup, decay_steps=end, final_fraction=floor)
    found = values.rates(schedules.polynomial_schedule, steps, total, power=power, **settings)
    values.assert_close(found, expected, PEAK)
    if power == 1:
        found = values.rates(schedules.linear_schedule, steps, total, **settings)
        values.assert_close(found, expected, PEAK)


def test_polynomial_is_that_of_keras():
    steps = values.steps_of(1000)
    oracle = tf2.keras.optimizers.schedules.PolynomialDecay(PEAK, 1000, 0.1 * PEAK, power=3.0)
    found = values.rates(
        schedules.polynomial_schedule,
        steps,
        1000,
        learning_rate=PEAK,
        final_fraction=0.1,
        power=3.0,
    )
    values.assert_close(found, values.keras(oracle, steps), PEAK, 1e-5)


@totals
def test_constant_is_that_of_optax(total):
    steps = values.steps_of(total, total // 20)
    oracle = optax.warmup_constant_schedule(0.0, PEAK, total // 20)
    found = values.rates(
        schedules.constant_schedule, steps, total, learning_rate=PEAK, warmup_steps=total // 20
    )
    values.assert_close(found, values.optax(oracle, steps), PEAK)


@pytest.mark.parametrize("form", ["cosine", "linear"])
@totals
def test_gpt_neo_multiplies_the_decayed_rate_by_the_warmup(total, form):
    warmup, end = in_steps(total)
    steps = values.steps_of(total, warmup, end)
    done = np.minimum(steps, end) / end
    shape = 1 - done if form == "linear" else 0.5 * (1 + np.cos(np.pi * done))
    decayed = PEAK * (0.9 * shape + 0.1)
    expected = np.where(steps < warmup, decayed * steps / warmup, decayed)
    found = values.rates(
        schedules.gpt_neo_schedule,
        steps,
        total,
        learning_rate=PEAK,
        warmup_steps=warmup,
        decay_steps=end,
        form=form,
    )
    values.assert_close(found, expected, PEAK)


def test_fractions_are_of_the_run_and_none_is_its_end():
    steps = np.arange(1200)
    settings = dict(learning_rate=PEAK, final_fraction=0.1)
    whole = values.rates(
        schedules.cosine_schedule, steps, 1000, warmup_steps=50, decay_steps=1000, **settings
    )
    for decay_steps in (1, 1.0, None):
        found = values.rates(
            schedules.cosine_schedule,
            steps,
            1000,
            warmup_steps=0.05,
            decay_steps=decay_steps,
            **settings,
        )
        np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"learning_rate": None}, "learning_rate = None: expected a learning rate"),
        ({"learning_rate": -0.1}, "learning_rate = -0.1: expected a learning rate"),
        ({"warmup_steps": -1}, "warmup_steps = -1: expected a number of steps"),
        ({"warmup_steps": "10"}, "warmup_steps = '10': expected a number of steps"),
        ({"final_fraction": 1.5}, "final_learning_rate_fraction = 1.5: .* from 0 to 1"),
        ({"final_fraction": -0.1}, "final_learning_rate_fraction = -0.1: .* from 0 to 1"),
        ({"initial_fraction": 2}, "initial_learning_rate_fraction = 2: .* from 0 to 1"),
        ({"decay_steps": 0}, "decay_steps = 0: expected a number above 0"),
        (
            {"warmup_steps": 500, "decay_steps": 0.4},
            "warmup_steps = 500 ends at step 500, after decay_steps = 0.4, step 400",
        ),
    ],
)
@pytest.mark.parametrize("name", ["cosine", "linear", "polynomial", "wsd", "inverse_sqrt"])
def test_errors_name_the_setting(name, settings, message):
    schedule = getattr(schedules, f"{name}_schedule")
    if name == "inverse_sqrt":
        settings = {"warmup_steps": 10, "cooldown_steps": 0.1, **settings}
    with pytest.raises(UsageError, match=message):
        values.rates(schedule, [0], 1000, **{"learning_rate": PEAK, **settings})


@pytest.mark.parametrize(
    "settings, remark",
    [
        (
            {"decay_steps": 2000},
            "decay_steps = 2000: the run ends at step 1,000, before the learning rate has its "
            "final value at step 2,000.",
        ),
        (
            {"decay_steps": 0.5},
            "decay_steps = 0.5: the learning rate has its final value from step 500 to the end of "
            "the run, step 1,000.",
        ),
        (
            {"warmup_steps": 3000},
            "warmup_steps = 3000: the run ends at step 1,000, before the warmup does at "
            "step 3,000.",
        ),
    ],
)
@pytest.mark.parametrize("name", ["cosine", "linear", "polynomial", "gpt_neo"])
def test_settings_that_do_not_fit_the_run_are_remarked_once(name, settings, remark):
    schedule = getattr(schedules, f"{name}_schedule")
    settings = {"learning_rate": PEAK, "warmup_steps": 100, **settings}
    found, remarks = values.rates_and_remarks(schedule, [0, 999, 5000], 1000, **settings)
    assert remarks == [remark]
    assert np.isfinite(found).all()


def test_a_schedule_that_fits_the_run_has_no_remark():
    for decay_steps in (None, 1.0, 1000):
        _, remarks = values.rates_and_remarks(
            schedules.cosine_schedule,
            [0],
            1000,
            learning_rate=PEAK,
            warmup_steps=1000,
            decay_steps=decay_steps,
        )
        assert not remarks
