"""A ladder is a sweep of sizes, changes and seeds, and its file is not replaced by another one."""

import pytest

from primer.errors import RunError, UsageError
from primer.experiments.ladders import ladder_file, rungs
from primer.experiments.sweeps import expansion, sweep_file
from tests.experiments.ladders import requests


def written(path, asked, built=None):
    text = ladder_file.of_ladder(asked, built or requests.build(asked), "mine", "primer ladder ...")
    ladder_file.write(str(path), text)
    return expansion.expand(sweep_file.read(str(path)))


def test_the_file_is_a_sweep(tmp_path):
    runs = written(tmp_path / "new" / "ladder.yaml", requests.request())
    assert [run.name for run in runs] == [
        f"size={size},change={change},seed={seed}"
        for size in ("50K", "400K")
        for change in ("base", "attention-MDHA")
        for seed in (1, 2)
    ]
    small, large = requests.build(requests.request())
    changed = runs[6]
    assert changed.model_dir == str(tmp_path / "new" / "runs" / changed.name)
    assert changed.settings["learning_rate"] == large.learning_rates["base"]
    assert changed.settings["steps"] == large.steps
    assert changed.settings["eval_every"] == -(-large.steps // 2)
    for word in (
        "--gin_param=attention = @MDHA",
        "--gin_param=depth = 2",
        f"--gin_param=utils.run.batch_size = {large.rows}",
        "--gin_param=warmup_steps = 0.05",
        "--gin_file=optimizers/adamw.gin",
    ):
        assert word in changed.arguments, word
    assert not any("MDHA" in word for word in runs[0].arguments)
    assert runs[0].settings["steps"] == small.steps


def test_rates_of_their_own_are_axes_too(tmp_path):
    asked = requests.request(rule="sweep")
    built = rungs.with_rates(requests.build(asked), {"base": 1e-2, "attention-MDHA": 2e-2})
    runs = written(tmp_path / "ladder.yaml", asked, built)
    assert len(runs) == 8
    rates = {run.name: run.settings["learning_rate"] for run in runs}
    assert rates["size=50K,change=base,seed=1"] == 1e-2
    assert rates["size=50K,change=attention-MDHA,seed=2"] == 2e-2
    assert (
        rates["size=400K,change=attention-MDHA,seed=2"] == built[1].learning_rates["attention-MDHA"]
    )


def test_tuning_tries_all_rates_with_another_seed(tmp_path):
    asked = requests.request(rule="sweep", rates=[1e-3, 1e-2])
    built = requests.build(asked)
    path = str(tmp_path / "tuning.yaml")
    ladder_file.write(path, ladder_file.of_tuning(asked, built, asked.rates, "mine"))
    runs = expansion.expand(sweep_file.read(path))
    assert [run.name for run in runs] == [
        f"change={change},learning_rate={rate},seed=0"
        for change in ("base", "attention-MDHA")
        for rate in (0.001, 0.01)
    ]
    assert {run.settings["steps"] for run in runs} == {built[0].steps}


def test_more_seeds_and_sizes_extend_a_ladder(tmp_path):
    path = tmp_path / "ladder.yaml"
    before = written(path, requests.request(seeds=[1]))
    after = written(path, requests.request(seeds=[1, 2]))
    assert {run.name for run in before} < {run.name for run in after}


@pytest.mark.parametrize(
    "values, message",
    [
        ({"seeds": [2]}, "another ladder, with the run size=50K,change=base,seed=1"),
        ({"learning_rate": 1e-3}, "has learning_rate = .* there, and .* here"),
        ({"tokens_per_parameter": 30.0}, "another --output"),
    ],
)
def test_another_ladder_is_not_replaced(values, message, tmp_path):
    path = tmp_path / "ladder.yaml"
    written(path, requests.request())
    before = path.read_text()
    with pytest.raises(UsageError, match=message) as error:
        written(path, requests.request(**values))
    assert "\n" not in str(error.value) and path.read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["ladder.yaml"]


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        written(tmp_path / "taken" / "ladder.yaml", requests.request())
