"""The inverse square root, against Mesh-TensorFlow's schedules and the Transformer's formula."""

import numpy as np
import pytest
from mesh_tensorflow.transformer import learning_rate_schedules

from primer import schedules
from primer.errors import UsageError
from tests.schedules import values

T5 = dict(learning_rate=0.01, warmup_steps=10000, initial_fraction=1.0)


@pytest.mark.parametrize("total", [256, 20000, 1_000_000])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5])
def test_t5s_schedule_is_that_of_mesh_tensorflow(total, fraction):
    """To the end of the run: beyond it Mesh-TensorFlow's is negative."""
    steps = values.steps_of(total, 10000, total * (1 - fraction))
    expected = values.rates(
        learning_rate_schedules.learning_rate_schedule_noam,
        steps,
        total,
        linear_decay_fraction=fraction,
    )
    found = values.rates(
        schedules.inverse_sqrt_schedule, steps, total, cooldown_steps=fraction, **T5
    )
    within = steps <= total if fraction else steps >= 0
    values.assert_close(found[within], expected[within], 0.01)
    if fraction:
        assert not found[~within].any()


def test_the_transformers_schedule():
    d_model, warmup = 512, 4000
    steps = values.steps_of(100_000, warmup)
    expected = d_model**-0.5 * np.minimum(np.maximum(steps, 1) ** -0.5, steps * warmup**-1.5)
    found = values.rates(
        schedules.inverse_sqrt_schedule,
        steps,
        100_000,
        learning_rate=(d_model * warmup) ** -0.5,
        warmup_steps=warmup,
    )
    values.assert_close(found, expected, expected.max())


@pytest.mark.parametrize("form", ["linear", "cosine", "1-sqrt"])
def test_the_cooldown_ends_at_the_floor(form):
    total, warmup, start = 10_000, 100, 8000
    steps = values.steps_of(total, warmup, start)
    root = np.sqrt(warmup / np.clip(steps, warmup, total))
    done = np.clip((steps - start) / (total - start), 0, 1)
    shape = {"linear": 1 - done, "cosine": (1 + np.cos(np.pi * done)) / 2, "1-sqrt": 1 - done**0.5}
    expected = np.minimum(steps / warmup, 1) * (0.05 + (root - 0.05) * shape[form])
    found = values.rates(
        schedules.inverse_sqrt_schedule,
        steps,
        total,
        learning_rate=1.0,
        warmup_steps=warmup,
        cooldown_steps=2000,
        cooldown_form=form,
        final_fraction=0.05,
    )
    values.assert_close(found, expected, 1.0)


@pytest.mark.parametrize("floor", [0.5, 1.0])
@pytest.mark.parametrize("total", [10_000, 50])
def test_a_floor_above_the_root_never_lets_the_rate_rise(floor, total):
    found = values.rates(
        schedules.inverse_sqrt_schedule,
        np.arange(0, 2 * total, max(total // 500, 1)),
        total,
        learning_rate=1.0,
        warmup_steps=100,
        initial_fraction=1.0,
        cooldown_steps=0.2,
        final_fraction=floor,
    )
    assert (np.diff(found) <= 1e-7).all() and np.isfinite(found).all()


def test_the_root_needs_a_warmup():
    with pytest.raises(UsageError, match="warmup_steps = 0: expected steps above 0"):
        values.rates(schedules.inverse_sqrt_schedule, [0], 100, learning_rate=1.0, warmup_steps=0)
