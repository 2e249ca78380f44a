"""Losses of training and statistics of routers, as runs have recorded them."""

import numpy as np
import pytest

from primer.checkpoints.description import train_losses
from primer.experiments.report import contents
from tests.experiments.report import made_up_runs


def parts(folder):
    return {part.name: part for part in contents.build([str(folder)]).parts[0]}


def test_spikes_of_recorded_losses(tmp_path):
    draw = np.random.default_rng(0)
    for seed in (1, 2):
        folder = made_up_runs.run(tmp_path / f"a_{seed}", 4.3, seed)
        values = 3 + draw.normal(scale=0.02, size=1200)
        values[900 : 900 + seed] += 1
        with train_losses.Recorder(folder, 0) as losses:
            for step, value in enumerate(values, 1):
                losses.add(step, value, 0.5 + value)
    found = parts(tmp_path)["training"]
    rows = found.files["training"]
    assert [row["scored"] for row in rows] == [700, 700]
    assert [row["spikes"] for row in rows] == [row["norm_spikes"] for row in rows] == [1, 2]
    (texts,) = found.tables[0].rows
    assert texts["score"] == "0.214%" and texts["most"] == "0.286%" and texts["scored"] == "1,400"
    curve = found.files["training_losses"]
    assert len(curve) == 100 and curve[0]["step"] == 6.5
    assert curve[0]["loss"] == pytest.approx(3, abs=0.02)
    assert "training_losses" in found.figures and not found.sentences


def test_short_runs_have_no_score(tmp_path):
    folder = made_up_runs.run(tmp_path / "a", 4.3, 1)
    with train_losses.Recorder(folder, 0) as losses:
        for step in range(1, 101):
            losses.add(step, 9 / step)
    found = parts(tmp_path)["training"]
    assert "more than 500 recorded steps" in found.sentences[0]
    assert found.tables[0].rows[0]["score"] == "-"
    made_up_runs.run(tmp_path / "b" / "c", 4.3, 1)
    assert parts(tmp_path / "b") == {}


def test_routers_of_the_last_checkpoint(tmp_path):
    for seed, load in ((1, [0.5, 0.25, 0.125, 0.125]), (2, [0.25] * 4)):
        routers = {
            f"block_000/layer_00{n}": {"load": load, "entropy": 1.25, "dropped_tokens": 0.01 * n}
            for n in (1, 3)
        }
        made_up_runs.run(tmp_path / f"a_{seed}", 4.3, seed, routers=routers)
    found = parts(tmp_path)["routers"]
    assert len(found.files["routers"]) == 4
    assert found.tables[0].rows == [
        {
            "group": "a",
            "routers": "2",
            "runs": "2",
            "experts": "4",
            "largest": "1.50",
            "smallest": "0.75",
            "entropy": "1.250",
            "dropped": "2.00%",
        }
    ]
