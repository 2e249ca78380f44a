"""Which losses are final ones, by the schedule."""

import pytest

from primer.experiments.report import schedules

COSINE = {"run.learning_rate_schedule": "@cosine_schedule", "run.train_steps": "200"}
BRANCHES = {"run.learning_rate_schedule": "%schedule", "schedule": "@wsd_s_schedule"}


@pytest.mark.parametrize(
    "more, ends",
    [
        ({"run.train_steps": "200"}, [50, 100, 200]),
        ({"run.train_steps": "200", "wsd_s_schedule.decay_ends": "[30, 0.5]"}, [30, 100]),
        ({"wsd_s_schedule.decay_ends": "(30, 60)"}, [30, 60]),
        ({}, []),
        ({"run.train_steps": "200", "wsd_s_schedule.decay_ends": "@f()"}, []),
    ],
)
def test_the_ends_of_decays(more, ends):
    assert schedules.decay_ends({**BRANCHES, **more}) == ends
    assert schedules.decay_ends(COSINE) is None and schedules.decay_ends(None) is None


def test_a_product_of_schedules_is_named():
    factors = "[@constant, @linear_warmup, @linear_decay]"
    config = {"run.learning_rate_schedule": "%schedule", "schedule": factors}
    expected = "its schedule constant x linear_warmup x linear_decay is not constant"
    assert expected in schedules.obstacle(config)
    assert not schedules.obstacle({"run.learning_rate_schedule": "[@constant]"})


def test_ends_between_two_steps_belong_to_both():
    assert [step for step in range(9) if schedules.is_decay_end([2.5, 7], step)] == [2, 3, 7]


def test_which_losses_are_final():
    assert schedules.unfinished(COSINE, 200) == ""
    assert "step 100 of 200 is in the middle of cosine_schedule" in schedules.unfinished(
        COSINE, 100
    )
    steady = {"run.learning_rate_schedule": "@constant_schedule", "run.train_steps": "200"}
    assert schedules.unfinished(steady, 100) == ""
    branches = {**BRANCHES, "run.train_steps": "200"}
    assert schedules.unfinished(branches, 50) == "" and schedules.unfinished(branches, 60)
    assert "no config.gin" in schedules.unfinished(None, 5)
    # Where the length is not known, the last loss is taken for final.
    assert schedules.unfinished({"run.learning_rate_schedule": "@cosine_schedule"}, 100) == ""
