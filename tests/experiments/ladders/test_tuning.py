"""The best rate of a tuning sweep is that of the lowest last loss."""

import json

import pytest

from primer.errors import RunError
from primer.experiments.ladders import ladder_file, tuning
from primer.experiments.sweeps import expansion, sweep_file
from tests.experiments.ladders import requests


@pytest.fixture
def runs(tmp_path):
    asked = requests.request(rule="sweep", rates=[1e-3, 1e-2, 1e-1])
    path = str(tmp_path / "tuning.yaml")
    built = requests.build(asked)
    ladder_file.write(path, ladder_file.of_tuning(asked, built, asked.rates, "mine"))
    return expansion.expand(sweep_file.read(path))


def evaluated(run, tmp_path, *losses):
    """Writes results, the last one of the run's last step, and a line that a kill has truncated."""
    folder = tmp_path / "tuning" / run.name / "eval"
    folder.mkdir(parents=True)
    steps = [*range(1, len(losses)), run.settings["steps"]]
    rows = [{"step": step, "nats_per_token": loss} for step, loss in zip(steps, losses)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "sotu_validation_stream.jsonl").write_text(text + '{"step": ')


def test_the_lowest_last_loss_is_best(runs, tmp_path):
    changes = requests.request().changes
    for run, losses in zip(runs, [(9, 3.5), (2, 3.0), (9, None), (9, 4.0), (9, 3.0), (9, 2.5)]):
        evaluated(run, tmp_path, *losses)
    found = tuning.tuned(runs, changes)
    assert {label: tuned.best for label, tuned in found.items()} == {
        "base": 1e-2,
        "attention-MDHA": 1e-1,
    }
    assert found["base"].sentence("base") == (
        "base: rate 0.01 of 0.001: 3.5000, 0.01: 3.0000, 0.1: none nats per token"
    )
    assert "may lie beyond (--rates)" in found["attention-MDHA"].sentence("attention-MDHA")


def test_a_change_without_any_loss_ends_the_ladder(runs, tmp_path):
    evaluated(runs[0], tmp_path, 3.0)
    with pytest.raises(RunError, match="no learning rate of attention-MDHA came to a loss"):
        tuning.tuned(runs, requests.request().changes)
