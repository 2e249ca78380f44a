"""Transformer-XL's schedules, against the formulas of torch's schedulers and of its train.py."""

import numpy as np
import pytest

from primer import schedules
from primer.errors import UsageError
from tests.schedules import values

PEAK = 2.5e-4
SCHEDULE = schedules.transformer_xl_schedule
# Warmup and steps of enwik8 base and large, WikiText-103 large and LM1B base.
RUNS = [(0, 400_000), (4000, 400_000), (16_000, 4_000_000), (20_000, 500_000)]


def cosine_annealing(steps, t_max, eta_min):
    """The rates of torch.optim.lr_scheduler.CosineAnnealingLR, its closed form."""
    return eta_min + (PEAK - eta_min) * (1 + np.cos(np.pi * steps / t_max)) / 2


@pytest.mark.parametrize("eta_min", [0.0, 1e-5])
@pytest.mark.parametrize("warmup, total", RUNS)
def test_the_cosine_is_torchs_from_the_end_of_the_warmup_on(warmup, total, eta_min):
    steps = values.steps_of(total, warmup)
    found = values.rates(
        SCHEDULE,
        steps,
        total,
        learning_rate=PEAK,
        warmup_steps=warmup,
        final_fraction=eta_min / PEAK,
    )
    curve = cosine_annealing(np.minimum(steps, total), total, eta_min)
    line = PEAK * steps / max(warmup, 1)
    values.assert_close(found, np.where(steps < warmup, line, curve), PEAK)
    assert (found >= 0).all()


def test_the_cosine_does_not_begin_at_the_end_of_the_warmup():
    """As it does in schedules/cosine.gin, whose rate there is the highest."""
    settings = dict(learning_rate=PEAK, warmup_steps=250)
    found = values.rates(SCHEDULE, [249, 250], 1000, **settings) / PEAK
    np.testing.assert_allclose(found, [249 / 250, (1 + np.cos(np.pi / 4)) / 2], rtol=1e-6)
    shifted = values.rates(schedules.cosine_schedule, [250], 1000, **settings)
    assert shifted == np.float32(PEAK)


@pytest.mark.parametrize("decay_steps", [800, 0.8])
def test_the_end_of_the_cosine_is_a_setting(decay_steps):
    steps = np.arange(0, 2000)
    found = values.rates(SCHEDULE, steps, 1000, learning_rate=PEAK, decay_steps=decay_steps)
    values.assert_close(found, cosine_annealing(np.minimum(steps, 800), 800, 0.0), PEAK)


@pytest.mark.parametrize("warmup", [0, 100])
def test_the_inverse_square_root_is_that_of_its_lambda(warmup):
    """`lr_lambda` of train.py, called with the step."""

    def factor(step):
        if step == 0 and warmup == 0:
            return 1.0
        return step**-0.5 if step > warmup else step / warmup**1.5

    steps = values.steps_of(1000, warmup)
    found = values.rates(
        SCHEDULE, steps, 1000, learning_rate=PEAK, warmup_steps=warmup, form="inv_sqrt"
    )
    values.assert_close(found, PEAK * np.array([factor(int(step)) for step in steps]), PEAK)


def test_the_constant_form_has_the_warmup_alone():
    steps = np.arange(0, 30)
    found = values.rates(SCHEDULE, steps, 20, learning_rate=PEAK, warmup_steps=10, form="constant")
    values.assert_close(found, PEAK * np.minimum(steps / 10, 1), PEAK)


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"form": "dev_perf"},
            "transformer_xl_schedule.form = 'dev_perf': expected one of cosine,",
        ),
        ({"warmup_steps": 500, "decay_steps": 400}, "warmup_steps = 500 ends at step 500, after"),
        ({"learning_rate": None}, "learning_rate = None: expected a learning rate"),
        ({"final_fraction": 2}, "final_learning_rate_fraction = 2: .* from 0 to 1"),
    ],
)
def test_errors_name_the_setting(settings, message):
    with pytest.raises(UsageError, match=message):
        values.rates(SCHEDULE, [0], 1000, **{"learning_rate": PEAK, **settings})
