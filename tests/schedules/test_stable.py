"""Schedules with a constant rate in the middle: WSD, WSD-S, pieces."""

import jax
import numpy as np
import optax
import pytest
import tensorflow as tf2

from primer import schedules
from primer.errors import UsageError
from tests.schedules import values

jax.config.update("jax_enable_x64", True)

PEAK = 1e-3
FORMS = {
    "linear": lambda p, floor: floor + (1 - floor) * (1 - p),
    "cosine": lambda p, floor: floor + (1 - floor) * (1 + np.cos(np.pi * p)) / 2,
    "1-sqrt": lambda p, floor: floor + (1 - floor) * (1 - np.sqrt(p)),
    "exponential": lambda p, floor: floor**p,
    "inverse": lambda p, floor: 1 / (p / floor + (1 - p)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("floor", [0.1, 0.0])
@pytest.mark.parametrize("total", [1000, values.LONG])
def test_wsd(form, floor, total):
    settings = dict(
        learning_rate=PEAK,
        warmup_steps=0.05,
        cooldown_steps=0.2,
        cooldown_form=form,
        final_fraction=floor,
    )
    warmup, start = total // 20, total * 4 // 5
    steps = values.steps_of(total, warmup, start)
    if not floor and form in ("exponential", "inverse"):
        with pytest.raises(UsageError, match=f'cooldown_form = "{form}" cannot end at 0'):
            values.rates(schedules.wsd_schedule, steps, total, **settings)
        return
    done = np.clip((steps - start) / (total - start), 0, 1)
    expected = PEAK * np.minimum(steps / warmup, 1) * FORMS[form](done, floor)
    found = values.rates(schedules.wsd_schedule, steps, total, **settings)
    values.assert_close(found, expected, PEAK)


def test_wsd_with_lines_is_optaxs_joined_lines():
    steps = values.steps_of(1000, 100, 600, 900)
    oracle = optax.join_schedules(
        [
            optax.linear_schedule(0.0, PEAK, 100),
            optax.constant_schedule(PEAK),
            optax.linear_schedule(PEAK, 0.1 * PEAK, 300),
        ],
        [100, 600],
    )
    found = values.rates(
        schedules.wsd_schedule,
        steps,
        1000,
        learning_rate=PEAK,
        warmup_steps=100,
        decay_steps=900,
        cooldown_steps=300,
        final_fraction=0.1,
    )
    values.assert_close(found, values.optax(oracle, steps), PEAK)


def test_phases_of_wsd_that_overlap():
    settings = dict(learning_rate=PEAK, warmup_steps=600, cooldown_steps=500)
    with pytest.raises(UsageError, match="cooldown_steps = 500 starts at step 500, before the end"):
        values.rates(schedules.wsd_schedule, [0], 2000, decay_steps=1000, **settings)
    found, remarks = values.rates_and_remarks(
        schedules.wsd_schedule, [0, 300, 600, 800, 1000], 1000, **settings
    )
    np.testing.assert_allclose(found, PEAK * np.array([0, 0.5, 1, 0.5, 0]), rtol=1e-6)
    assert len(remarks) == 1 and "as the run is short" in remarks[0]


def test_wsd_without_a_cooldown_is_constant():
    found = values.rates(
        schedules.wsd_schedule, [0, 1000, 5000], 1000, learning_rate=PEAK, cooldown_steps=0
    )
    np.testing.assert_allclose(found, [PEAK] * 3, rtol=1e-6)


def test_unknown_form():
    with pytest.raises(UsageError, match="cooldown_form = 'sqrt': expected one of linear, cosine"):
        values.rates(schedules.wsd_schedule, [0], 10, learning_rate=PEAK, cooldown_form="sqrt")


@pytest.mark.parametrize("form", FORMS)
def test_wsd_s_decays_at_several_points_and_goes_back_up(form):
    total, ends = 1000, (200, 0.5, 1.0)
    steps = np.arange(1200)
    expected = np.minimum(steps / 50, 1.0)
    for start, end in ((180, 200), (450, 500), (900, 1000)):
        inside = (steps >= start) & ((steps <= end) | (end == total))
        done = np.clip((steps - start) / (end - start), 0, 1)
        expected = np.where(inside, FORMS[form](done, 0.1), expected)
    found = values.rates(
        schedules.wsd_s_schedule,
        steps,
        total,
        learning_rate=PEAK,
        warmup_steps=50,
        final_fraction=0.1,
        cooldown_form=form,
        decay_ends=ends,
    )
    values.assert_close(found, PEAK * expected, PEAK)
    assert found[201] == found[501] == np.float32(PEAK)


def test_wsd_s_in_a_run_shorter_than_its_warmup_is_finite_and_remarked():
    found, remarks = values.rates_and_remarks(
        schedules.wsd_s_schedule, np.arange(20), 10, learning_rate=PEAK, warmup_steps=100
    )
    np.testing.assert_allclose(found, PEAK * np.arange(20) / 100, rtol=1e-6)
    assert any("the run ends at step 10" in remark for remark in remarks)
    assert any("no room" in remark for remark in remarks)


def test_points_of_wsd_s_are_checked():
    settings = dict(learning_rate=PEAK)
    for ends in ((0.5, 0.5), (500, 0.1), (), 3, (0,)):
        with pytest.raises(UsageError, match="decay_ends = .*in increasing order"):
            values.rates(schedules.wsd_s_schedule, [0], 1000, decay_ends=ends, **settings)
    _, remarks = values.rates_and_remarks(
        schedules.wsd_s_schedule, [0], 1000, decay_ends=(500, 2000), **settings
    )
    assert ["step 2,000" in remark and "step 1,000" in remark for remark in remarks] == [True]
    _, remarks = values.rates_and_remarks(
        schedules.wsd_s_schedule, [0], 1000, decay_ends=(500,), **settings
    )
    assert "from step 500 to the end of the run, step 1,000" in remarks[0]


def test_pieces_are_those_of_optax_and_keras():
    steps = values.steps_of(1000, 400, 700)
    found = values.rates(
        schedules.piecewise_schedule,
        steps,
        1000,
        learning_rate=PEAK,
        boundaries=[0.4, 700],
        factors=[1.0, 0.5, 0.05],
    )
    oracle = optax.piecewise_constant_schedule(PEAK, {400: 0.5, 700: 0.1})
    values.assert_close(found, values.optax(oracle, steps), PEAK)
    # Those of tf.keras begin one step later.
    oracle = tf2.keras.optimizers.schedules.PiecewiseConstantDecay(
        [399, 699], [PEAK, PEAK * 0.5, PEAK * 0.05]
    )
    values.assert_close(found, values.keras(oracle, steps), PEAK, 1e-5)


def test_pieces_may_be_rates():
    found = values.rates(
        schedules.piecewise_schedule,
        [0, 5, 10, 99, 100, 500],
        1000,
        learning_rate=PEAK,
        warmup_steps=10,
        boundaries=[100],
        values=[0.2, 0.3],
    )
    np.testing.assert_allclose(found, [0, 0.1, 0.2, 0.2, 0.3, 0.3], rtol=1e-6)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"boundaries": [0.5, 0.2]}, "boundaries = .*in increasing order"),
        ({"boundaries": [0.5, 100]}, "boundaries = .*in increasing order"),
        ({"factors": [1, 2]}, "factors = .*expected 3 numbers, one more than"),
        ({"values": [1.0, 0.5]}, "values = .*expected 3 numbers"),
        ({"factors": [1.0, -0.5, 0.1]}, "factors = -0.5: expected a learning rate"),
    ],
)
def test_mistakes_in_pieces(settings, message):
    with pytest.raises(UsageError, match=message):
        values.rates(schedules.piecewise_schedule, [0], 1000, learning_rate=PEAK, **settings)


def test_a_boundary_beyond_the_run_is_remarked():
    _, remarks = values.rates_and_remarks(
        schedules.piecewise_schedule,
        [0],
        1000,
        learning_rate=PEAK,
        boundaries=[500, 1500],
    )
    assert remarks == [
        "piecewise_schedule.boundaries = [500, 1500]: the run ends at step 1,000, before "
        "step 1,500."
    ]
