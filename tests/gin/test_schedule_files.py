"""Every file of gin/schedules/: the curve of its schedule, and the slots that it sets."""

import os

import numpy as np
import pytest

from primer.gin_config import config_files, statements
from primer.planning import schedule_curve
from tests import gin_models
from tests.schedules import values

NAMES = config_files.names_of_kind("schedules")
# All longer than the warmups that are numbers of steps.
TOTALS = (50_000, 10_000_000)
# Their rates have jumps.
STEPPED = ("piecewise", "wsd_s", "transformer_xl")
# Their rate falls on after the end of the run, as it does not depend on the run's length.
ENDLESS = ("rsqrt", "inverse_sqrt", "t2t")
# Their learning_rate is no rate of any step.
FACTORED = ("gpt_neo", "t2t")
RATE = 0.02

each = pytest.mark.parametrize("name", NAMES)
totals = pytest.mark.parametrize("total", TOTALS)


def schedule(load, name, *bindings):
    """The schedule of a file, with a learning_rate of RATE."""
    files = ["defaults.gin", config_files.gin_file("schedules", name)]
    load(files, ["d_model = 64", f"learning_rate = {RATE}", *bindings])
    return schedule_curve.schedule_in_force()


@each
@totals
def test_the_rate_is_finite_and_between_0_and_its_highest(load, name, total):
    steps = np.arange(0, 1.5 * total, total // 5000)
    rates = values.rates(schedule(load, name), steps, total)
    assert np.isfinite(rates).all() and (rates >= 0).all()
    assert rates.max() == np.float32(RATE) or name in FACTORED
    assert rates.max() <= np.float32(RATE)
    # It only falls after the warmup.
    if name != "wsd_s":
        assert (np.diff(rates[rates.argmax() :]) <= 0).all()
    assert steps[rates.argmax()] <= max(total // 50, 10_000)


@each
@totals
def test_the_rate_stays_after_the_end_of_the_run(load, name, total):
    beyond = values.rates(
        schedule(load, name), np.linspace(total, 3 * total, 200).astype(int), total
    )
    if name in ENDLESS:
        assert beyond[-1] < beyond[0]
    else:
        assert (beyond == beyond[0]).all()


@each
def test_only_schedules_with_steps_jump(load, name):
    """A jump stays as large when the run has ten times the steps, a slope becomes smaller."""
    largest = []
    for total in (20_000, 200_000):
        found = schedule(load, name, "warmup_steps = 0.2")
        rates = values.rates(found, np.arange(1.2 * total), total)
        largest.append(np.abs(np.diff(rates)).max() / rates.max())
    assert (largest[1] > 0.5 * largest[0]) == (name in STEPPED), largest


@each
def test_a_file_is_described_and_says_when_to_use_it(name):
    path = os.path.join(config_files.gin_directory(), config_files.gin_file("schedules", name))
    with open(path, encoding="utf-8") as lines:
        comment = [line for line in lines if line.startswith("#")]
    assert len(comment) >= 3 and "#\n" in comment


def test_files_set_the_same_slots():
    """Else a slot of an earlier file would stay set after a later one."""
    found = {
        name: set(gin_models.slots(config_files.gin_file("schedules", name))) for name in NAMES
    }
    first = found[NAMES[0]]
    assert "schedule" in first and all(slots == first for slots in found.values())
    declared = statements.declared_slots(config_files.gin_directory())
    assert first <= set(declared)


def test_a_later_file_replaces_an_earlier_one(load):
    steps = np.arange(1200)
    alone = values.rates(schedule(load, "cosine"), steps, 1000)
    load(["defaults.gin", "schedules/t2t.gin", "schedules/cosine.gin"], [f"learning_rate = {RATE}"])
    both = values.rates(schedule_curve.schedule_in_force(), steps, 1000)
    np.testing.assert_array_equal(both, alone)


@pytest.mark.parametrize("name, fraction", [("noam", 0.1), ("rsqrt", 0.0)])
def test_t5s_schedules_are_those_of_mesh_tensorflow(load, name, fraction):
    """noam is the default, rsqrt that of the data sets' files."""
    steps = np.arange(0, 100_001, 10)
    load(
        ["defaults.gin"],
        [f"learning_rate_schedule_noam.linear_decay_fraction = {fraction}"],
    )
    t5 = values.rates(schedule_curve.schedule_in_force(), steps, 100_000)
    own = values.rates(schedule(load, name), steps, 100_000)
    np.testing.assert_allclose(own * 0.01 / RATE, t5, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    "optimizer, name",
    [
        ("adam_t2t", "t2t"),
        ("adamw", "cosine"),
        ("adamw_bert", "linear"),
        ("adamw_gpt_neo", "gpt_neo"),
        ("lamb", "linear"),
        ("lion", "cosine"),
        ("muon", "cosine"),
        ("sgd", "cosine"),
    ],
)
def test_an_optimizers_usual_schedule_is_that_of_the_file_of_its_name(load, optimizer, name):
    steps = np.arange(0, 60_000, 100)
    files = ["defaults.gin", config_files.gin_file("optimizers", optimizer)]
    both = []
    for more in ([], [config_files.gin_file("schedules", name)]):
        load([*files, *more], ["d_model = 64"])
        both.append(values.rates(schedule_curve.schedule_in_force(), steps, 50_000))
    np.testing.assert_array_equal(*both)


RECIPES = [name for name in config_files.names_of_kind("recipes") if name.startswith("t2t")]


@pytest.mark.parametrize(
    "name, step, rate",
    [
        ("t2t_base", 8000, 2.0 * 8000**-0.5 * 512**-0.5),
        ("t2t_big", 16000, 2.0 * 16000**-0.5 * 512**-0.5),
        ("t2t_tpu", 0, 0.01),
    ],
)
def test_recipes_of_tensor2tensor(load, name, step, rate):
    assert name in RECIPES
    load(["defaults.gin", f"recipes/{name}.gin"], ["d_model = 512"])
    found = schedule_curve.curve(schedule_curve.schedule_in_force(), 100_000)
    assert found.peak == (step, pytest.approx(rate, rel=1e-5))
    warmup = gin_models.slots(f"recipes/{name}.gin").get("warmup_steps")
    assert found.rates[-1] == pytest.approx(rate * (warmup / 100_000) ** 0.5, rel=1e-5)
