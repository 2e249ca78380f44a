"""Figures: means over seeds, styles that differ, and what is drawn."""

import io

import pytest

from primer.experiments.report import contents, figures, finals
from tests.experiments.report import made_up_runs


def test_means_are_over_the_steps_that_all_seeds_have(tmp_path):
    for seed, steps in ((1, (0, 10, 30, 100)), (2, (10, 100))):
        made_up_runs.run(tmp_path / f"a_{seed}", lambda step: 9 - step / 50, seed, steps=steps)
    (section,) = contents.build([str(tmp_path)]).sections
    (contender,) = section.contenders
    assert contender.name == "a" and contender.summary.seeds == 2
    x, y = figures.mean_curve(contender, "tokens", section.unit)
    assert x == [10_240, 102_400] and y == pytest.approx([8.8, 7.0])
    pictures = figures.draw(section)
    # Seconds are those of a sweep's runs; nothing is compared with the baseline.
    assert list(pictures) == ["loss_by_steps", "loss_by_tokens", "loss_by_flops"]
    from matplotlib import image

    height, width, _ = image.imread(io.BytesIO(pictures["loss_by_steps"])).shape
    assert width == pytest.approx(figures.WIDTH * figures.DPI) and height < width


def test_accuracies_are_drawn_and_in_the_table_where_they_were_counted(tmp_path):
    for seed, accuracy in ((1, 0.5), (2, 0.7)):
        made_up_runs.run(tmp_path / f"a_{seed}", 1.0, seed, accuracy=accuracy)
    (section,) = contents.build([str(tmp_path)]).sections
    assert "accuracy_by_steps" in figures.draw(section)
    (row,) = finals.rows(section)
    assert row["accuracy"] == pytest.approx(0.6) and finals.texts(row)["accuracy"] == "60.0%"
    assert "accuracy" in finals.short_columns(section)


def test_contenders_are_told_apart_without_colors():
    styles = [figures.style(number) for number in range(28)]
    assert len({tuple(one.values()) for one in styles}) == 28
    # The first eleven by their markers alone, as in black and white.
    assert len({one["marker"] for one in styles[:11]}) == 11
