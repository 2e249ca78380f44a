"""The speedup factor: known curves, its bootstrap on simulated runs, and where it is refused."""

import math

import numpy as np
import pytest

from primer.experiments.report import contents, schedules
from primer.experiments.report.speedups import speedup, speedup_table
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
        "its schedule cosine_schedule is not constant or an inverse square root, and no group "
        "differs from it in steps alone"
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


def lengths(folder, name, factor, steps, seeds=(1, 2, 3), total=None):
    """Writes runs of a cosine, each of which ends on a power law of its compute times a factor."""
    for number in steps:
        for seed in seeds:
            group = f"architecture={name},steps={number}"
            end = float(power_law(number * factor)) + 0.01 * seed
            made_up_runs.run(
                folder / f"{group},seed={seed}",
                lambda step, end=end, number=number: end + 0.5 * (1 - step / number),
                seed,
                steps=(number // 2, number),
                sweep=group,
                attention=name,
                schedule="cosine_schedule",
                more_config=f"run.train_steps = {total or number}\n",
            )


def test_finals_of_several_lengths_are_one_curve(tmp_path):
    lengths(tmp_path, "transformer", 1, (50, 100))
    lengths(tmp_path, "primer", 2, (20, 40, 60, 80, 100))
    lengths(tmp_path, "llama", 1, (100,))
    (section,) = contents.build([str(tmp_path)], "architecture=transformer,steps=100").sections
    found = {(one.group, one.cost): one for one in speedup.speedups(section)}
    # The shorter transformer is none of the baseline's rivals.
    assert set(found) == {
        (name, cost)
        for name in ("primer, 5 lengths", "architecture=llama,steps=100")
        for cost in speedup.COSTS
    }
    primer = found["primer, 5 lengths", "flops"]
    assert primer.factor == pytest.approx(2, rel=0.02) and primer.seeds == 3
    assert primer.low <= primer.factor <= primer.high
    assert "no group differs from it in steps alone" in (
        found["architecture=llama,steps=100", "flops"].remark
    )


def test_finals_that_are_none_are_refused(tmp_path):
    lengths(tmp_path / "a", "transformer", 1, (100,))
    lengths(tmp_path / "a", "primer", 2, (50, 100), total=100)
    (section,) = contents.build(
        [str(tmp_path / "a")], "architecture=transformer,steps=100"
    ).sections
    remark = speedup.speedups(section)[0].remark
    assert remark == (
        "architecture=primer,steps=50: step 50 of 100 is in the middle of cosine_schedule"
    )
    lengths(tmp_path / "b", "transformer", 1, (100,), total=200)
    lengths(tmp_path / "b", "primer", 2, (50, 100))
    (section,) = contents.build(
        [str(tmp_path / "b")], "architecture=transformer,steps=100"
    ).sections
    assert "architecture=transformer,steps=100: step 100 of 200" in (
        speedup.speedups(section)[0].remark
    )


def branches(folder, name, factor, steps, ends=(0.25, 0.5, 1.0)):
    for seed in (1, 2):

        def loss(step, seed=seed):
            is_end = any(abs(step - end * 100) < 1 for end in ends)
            return float(power_law(step * factor)) + 0.01 * seed + (0 if is_end else 0.5)

        made_up_runs.run(
            folder / f"architecture={name},seed={seed}",
            loss,
            seed,
            steps=steps,
            sweep=f"architecture={name}",
            attention=name,
            schedule="wsd_s_schedule",
            more_config=f"run.train_steps = 100\nwsd_s_schedule.decay_ends = {ends}\n",
        )


def test_wsd_s_counts_the_ends_of_its_decays(tmp_path):
    branches(tmp_path, "transformer", 1, (20, 25, 100))
    branches(tmp_path, "primer", 2, (20, 25, 40, 50, 60, 100))
    branches(tmp_path, "llama", 2, (20, 40, 100))
    (section,) = contents.build([str(tmp_path)], "transformer").sections
    found = {one.group: one for one in speedup.speedups(section) if one.cost == "flops"}
    assert found["primer"].factor == pytest.approx(2, rel=1e-6)
    assert "fewer than two ends" in found["llama"].remark
