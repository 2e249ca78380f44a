"""The speedup factor: known curves, its bootstrap on simulated runs, and where it is refused."""

import math

import numpy as np
import pytest

from primer.experiments.report import contents, schedules, speedup, speedup_table
from tests.experiments.report import made_up_runs

COSTS = np.geomspace(1, 100, 12)


def power_law(costs):
    return 2 + 3 * costs**-0.3


def simulated(draw, factor, n=5, noise=0.01):
    """Returns the arguments of `measure` for a group that needs 1 / factor of the compute."""
    of_seed = draw.normal(scale=0.02, size=(n, 1))
    losses = power_law(COSTS * factor) + of_seed + draw.normal(scale=noise, size=(n, len(COSTS)))
    final = power_law(COSTS[-1:]) + of_seed + draw.normal(scale=noise, size=(n, 1))
    return losses, np.tile(COSTS, (n, 1)), final[:, 0], np.full(n, COSTS[-1])


def test_a_known_factor_without_noise():
    found = speedup.measure(*simulated(np.random.default_rng(0), 1.7, noise=0.0))
    assert found.factor == pytest.approx(1.7, rel=6e-3)  # Of the interpolation.
    assert (found.low, found.high) == pytest.approx((found.factor,) * 2)
    same = speedup.measure(*simulated(np.random.default_rng(0), 1.0, noise=0.0))
    assert same.factor == pytest.approx(1, rel=1e-9)


def test_a_loss_that_is_not_reached_or_reached_at_once():
    losses, costs, final, budget = simulated(np.random.default_rng(0), 1.0)
    never = speedup.measure(losses + 1, costs, final, budget)
    assert never.factor == never.low == never.high == 0 and never.least == pytest.approx(1)
    at_once = speedup.measure(losses - 3, costs, final, budget)
    assert at_once.factor == math.inf and at_once.most == pytest.approx(100)
    one = speedup.measure(losses[:1], costs[:1], final[:1], budget[:1])
    assert math.isnan(one.low) and one.seeds == 1
    assert "not known" in speedup.measure(losses, costs * np.nan, final, budget).remark


def test_intervals_cover_a_known_factor():
    draw, covered, factors = np.random.default_rng(11), [], []
    for _ in range(300):
        found = speedup.measure(*simulated(draw, 1.7))
        factors.append(found.factor)
        covered.append(found.low <= 1.7 <= found.high)
    rate = np.mean(covered)
    print(rate, np.median(factors))
    assert np.median(factors) == pytest.approx(1.7, rel=0.02)
    assert rate >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)


@pytest.mark.parametrize(
    "config, reason",
    [
        ({"schedule": "@constant_schedule"}, ""),
        ({"schedule": "%usual", "usual": "@truncated_rsqrt"}, ""),
        ({"schedule": "@cosine_schedule"}, "schedule cosine_schedule is not constant"),
        (
            {
                "schedule": "@inverse_sqrt_schedule",
                "inverse_sqrt_schedule.cooldown_steps": "%cooldown_steps",
                "cooldown_steps": "0.1",
            },
            "decays at the end (cooldown_steps = 0.1)",
        ),
        (
            {
                "schedule": "@learning_rate_schedule_noam",
                "learning_rate_schedule_noam.linear_decay_fraction": "0.0",
            },
            "",
        ),
        ({"schedule": "@learning_rate_schedule_noam"}, "linear_decay_fraction = 0.1"),
        ({"schedule": "%schedule"}, "schedule (none)"),
    ],
)
def test_a_decaying_schedule_is_no_ground(config, reason):
    found = schedules.obstacle({"run.learning_rate_schedule": "%schedule", **config})
    assert reason in found if reason else found == ""
    assert "no config.gin" in schedules.obstacle(None)


def test_runs_of_a_sweep(tmp_path):
    names = {"transformer": 4.3, "primer": 4.2}
    folder = made_up_runs.sweep(tmp_path / "a", names)
    (section,) = contents.build([folder], "transformer").sections
    flops, seconds = speedup.speedups(section)
    assert (flops.group, flops.cost, seconds.cost) == ("primer", "flops", "seconds")
    assert 1 < flops.low < flops.factor < flops.high < 10 and flops.seeds == 5
    # Steps take the same FLOPs and seconds.
    assert seconds.factor == pytest.approx(flops.factor)
    folder = made_up_runs.sweep(tmp_path / "b", names, schedule="cosine_schedule")
    (section,) = contents.build([folder], "transformer").sections
    remarks = {one.remark for one in speedup.speedups(section)}
    assert remarks == {
        "transformer: its schedule cosine_schedule is not constant or an inverse square root"
    }


def test_reasons_are_said_once():
    def case(group, cost, remark):
        return {"group": group, "cost": cost, "remark": remark}

    both = [case(name, cost, "why") for name in "ab" for cost in speedup.COSTS]
    assert speedup_table.remarks(both) == ["No speedup factor: why."]
    assert speedup_table.remarks(
        [*both, case("c", "flops", ""), case("c", "seconds", "other")]
    ) == [
        "No speedup factor of a, b: why.",
        "No speedup factor of c in wall time: other.",
    ]
