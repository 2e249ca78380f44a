"""Learning-rate sensitivity: a computed example, losses that diverge, and what is not known."""

import math

import pytest

from primer.experiments.report import contents
from tests.experiments.report import made_up_runs


def write(folder, losses, architecture="llama", start=None):
    """Writes runs, {rate: {seed: final loss}}; `start` is the loss of step 0."""
    for rate, own in losses.items():
        for seed, loss in own.items():
            steps = (0, 100) if start else (100,)
            group = f"architecture={architecture},learning_rate={rate}"
            made_up_runs.run(
                folder / f"{group},seed={seed}",
                lambda step, loss=loss: loss if step else start,
                seed,
                steps=steps,
                sweep=group,
                attention=architecture,
            )


def part(folder):
    (found,) = [
        one for one in contents.build([str(folder)]).parts[0] if one.name == "rate_sensitivity"
    ]
    return found


def test_it_is_the_mean_excess_over_the_best_rate(tmp_path):
    write(tmp_path, {0.001: {1: 3.3, 2: 3.4}, 0.01: {1: 3.0, 2: 3.2}, 0.1: {1: 3.6, 2: 3.2}})
    found = part(tmp_path)
    (row,) = found.files["rate_sensitivity"]
    # Seed 1: (0.3 + 0 + 0.6) / 3; seed 2: (0.2 + 0 + 0) / 3.
    assert row["sensitivity"] == pytest.approx((0.3 + 0.2 / 3) / 2)
    assert row["low"] == 0 and row["high"] > 1 and row["seeds"] == 2
    assert (row["best"], row["loss"]) == (0.01, pytest.approx(3.1))
    assert not row["best_is_at_the_end"] and "loss_by_rate" in found.figures
    assert "step 0" in found.sentences[0]


def test_what_diverges_counts_as_the_loss_before_training(tmp_path):
    write(tmp_path / "a", {0.01: {1: 3.0}, 0.1: {1: math.nan}, 1.0: {1: 90.0}}, start=9.0)
    (row,) = part(tmp_path / "a").files["rate_sensitivity"]
    assert row["sensitivity"] == pytest.approx((6 + 6) / 3) and math.isnan(row["low"])
    assert row["best_is_at_the_end"]
    write(tmp_path / "b", {0.01: {1: 3.0}, 0.1: {1: math.nan}})
    found = part(tmp_path / "b")
    assert math.isnan(found.files["rate_sensitivity"][0]["sensitivity"])
    assert "a loss is not finite, and that before training" in found.sentences[0]


def test_families_have_their_own(tmp_path):
    write(tmp_path, {0.01: {1: 3.0}, 0.1: {1: 3.5}}, "llama", 9.0)
    write(tmp_path, {0.01: {1: 3.0}, 0.2: {1: 3.2}}, "primer", 9.0)
    found = part(tmp_path)
    rows = {row["family"]: row["sensitivity"] for row in found.files["rate_sensitivity"]}
    assert rows == pytest.approx({"llama": 0.25, "primer": 0.1})
    assert any("cannot be compared" in text for text in found.sentences)
