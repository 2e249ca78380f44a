"""Runs that are stopped as hopeless: the rule, its marks, and that a longer run goes on."""

import json

import pyarrow.parquet as parquet
import pytest

from primer.commands import sweep as command
from primer.errors import UsageError
from primer.experiments.sweeps import expansion, run_record, sweep_file
from primer.experiments.sweeps.evaluations import hopeless
from primer.experiments.sweeps.evaluations.rule import Rule
from primer.experiments.sweeps.expansion import SweepRun
from tests.experiments.sweeps import stand_in
from tests.experiments.sweeps.running import outcomes, steps
from tests.experiments.sweeps.train_with_stand_in import train

RULE = "stop_hopeless: {among: [size], after: 4, least: 2, margin: 0.1}\n"
STEPS = "40, eval_every: 2"


def made_up(tmp_path, losses, size="tiny"):
    """Returns runs with these losses, [{step: loss}], in directories."""
    runs = []
    for losses_of_run in losses:
        folder = tmp_path / f"{size}{len(runs)}"
        folder.mkdir()
        for step, loss in losses_of_run.items():
            (folder / "handicap.txt").write_text(str(loss - 9 + step / 8))
            stand_in.write_result(folder, step, "validation")
        settings = {"size": size, "steps": 100}
        runs.append(SweepRun(len(runs), folder.name, str(folder), {}, settings, []))
    return runs


def test_a_run_above_the_median_of_the_others_at_one_step_is_hopeless(tmp_path):
    rule = Rule(("size",), after=20, least=3, margin=0.5)
    runs = made_up(tmp_path, [{10: 9, 20: 6.4, 30: 5}, {20: 7}, {20: 5}, {20: 6, 30: 4}, {30: 8}])
    found = hopeless.find(rule, runs, runs)
    # At step 20 the others of run 1 have 6.4, 5 and 6; at step 30 the others of run 4 are two.
    assert found == {
        "tiny1": {"step": 20, "loss": 7, "median": 6, "runs": 3, "rule": rule.as_dict()}
    }
    assert hopeless.describe(found["tiny1"]) == (
        "hopeless at step 20: loss 7.0000, median of 3 others 6.0000"
    )
    # Neither before `after`, nor with fewer others, nor within the margin.
    assert not hopeless.find(Rule(("size",), after=40, least=3), runs, runs)
    assert not hopeless.find(Rule(("size",), after=20, least=4, margin=0.5), runs[:4], runs[:4])
    assert not hopeless.find(Rule(("size",), after=20, least=3, margin=1.0), runs, runs)
    # Runs of another size are not compared.
    small = made_up(tmp_path, [{20: 50}], size="small")
    assert not hopeless.find(rule, small, [*runs, *small])
    diverged = made_up(tmp_path, [{30: float("nan")}], size="medium")
    all_runs = [*runs, *diverged]
    found = hopeless.find(Rule((), after=20, least=3), diverged, all_runs)
    assert found["medium0"]["loss"] == "inf"


def test_it_is_stopped_and_marked_and_left(sweep, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(hopeless, "LOOK_SECONDS", 0.1)
    # The others are done before the last one begins, which takes its time.
    behaviours = "{a: trains, b: trains, c: trains, d: waits}"
    axes = f"zip: {{gin.handicap: [0, 0.01, 0.02, 2], gin.behaviour: {behaviours}}}, seed: [1]"
    path = sweep(axes, STEPS, RULE)
    assert train(path) == 0
    output, messages = capfd.readouterr()
    folder = tmp_path / "runs" / "handicap=2,behaviour=d,seed=1"
    assert "3 of 4 done, 1 hopeless" in output
    assert f"{folder.name}: hopeless at step" in messages
    assert outcomes(folder) == ["hopeless"] and len(steps(folder)) < 40
    runs = expansion.expand(sweep_file.read(path))
    verdict = run_record.hopeless(run_record.read(str(folder)))
    assert verdict["runs"] == 3 and verdict["loss"] == pytest.approx(verdict["median"] + 1.99)
    assert f"stopped: hopeless at step {verdict['step']}" in output
    row = json.loads(json.dumps(command._as_json(runs[3], run_record.state_of(runs[3]))))
    assert row["state"] == "hopeless" and row["hopeless"]["step"] == verdict["step"]
    found = parquet.read_table(tmp_path / "runs" / "results.parquet").to_pylist()
    marked = {row["run"]: row["hopeless_step"] for row in found if row["state"] == "hopeless"}
    assert marked == {folder.name: verdict["step"]}

    # The same command leaves it; without the rule it goes on to its last step.
    before = len(steps(folder))
    assert train(path) == 0 and len(steps(folder)) == before
    assert train(sweep(axes, STEPS)) == 0
    assert steps(folder) == list(range(1, 41)) and outcomes(folder) == ["hopeless", "done"]
    assert "4 of 4 done" in capfd.readouterr().out


def test_a_kill_after_the_verdict_keeps_the_mark(tmp_path):
    rule = Rule((), after=1).as_dict()
    run = SweepRun(0, "seed=1", str(tmp_path), {}, {"steps": 9}, [], rule)
    start = {"hopeless": {"step": 4, "rule": rule}}
    record = {"settings": {"steps": 9}, "starts": [start]}
    assert run_record.recorded_state(run, record) == "hopeless"
    done = {"settings": {"steps": 9}, "starts": [{**start, "outcome": "done"}]}
    assert run_record.recorded_state(run, done) == "done"
    assert run_record.recorded_state(run, {**record, "settings": {"steps": 5}}) == "stopped"


@pytest.mark.parametrize(
    "rule, message",
    [
        ("{after: 4}", "stop_hopeless = {'after': 4}: expected {among: [settings], after: STEP}"),
        ("{among: [], after: 4, leest: 1}", "with `least` and `margin` if wanted"),
        ("{among: size, after: 4}", "among = 'size': expected a list of settings"),
        ("{among: [sise], after: 4}", "has no setting 'sise'; did you mean size?"),
        ("{among: [], after: 0}", "after = 0: expected a whole number of 1 or more"),
        ("{among: [], after: 1, margin: -1}", "margin = -1: expected a number of 0 or more"),
    ],
)
def test_a_wrong_rule_is_one_message(rule, message, sweep):
    with pytest.raises(UsageError) as refusal:
        sweep_file.read(sweep("seed: [1]", STEPS, f"stop_hopeless: {rule}\n"))
    assert message in str(refusal.value)


def test_a_run_without_validation_is_refused(sweep):
    with pytest.raises(UsageError, match="seed=1: stop_hopeless compares the validation"):
        expansion.expand(sweep_file.read(sweep("seed: [1]", 40, RULE)))
