"""Evaluations beside and after training, with a stand-in: once each, failures, kills, full disk."""

import errno
import json
import os

import pyarrow.parquet as parquet
import pytest

from primer.experiments.sweeps import whole_files
from tests.experiments.sweeps.running import (
    kill_children,
    outcomes,
    steps,
    table,
    until,
)
from tests.experiments.sweeps.train_with_stand_in import train

TWO_PROCESSORS = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
# Columns that depend on times and places.
OWN = ("seconds", "model_dir")


def scored(folder):
    return steps(folder, "scored.txt")


def results_of(folder):
    """Returns the steps of all lines of results of a run."""
    lines = (folder / "eval" / "sotu_waits_stream.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def rows(folder):
    return parquet.read_table(folder / "results.parquet").to_pylist()


def test_every_checkpoint_is_evaluated_once(sweep, tmp_path, capfd):
    path = sweep("seed: [1, 2]", steps=5, more="evaluate: {checkpoints: every 2}\n")
    assert train(path) == 0
    output, messages = capfd.readouterr()
    runs = tmp_path / "runs"
    for seed in (1, 2):
        assert scored(runs / f"seed={seed}") == [2, 4, 5]
        assert f"seed={seed}: evaluation of step 2, 4, 5 (validation): done" in messages
    assert f"Results: {runs}/results.parquet (6 rows)" in output
    # Training goes first: with one worker, both runs are trained before the first evaluation.
    assert messages.index("seed=2: done") < messages.index("seed=1: evaluation")

    # The same command, and one that only evaluates, start nothing.
    before = (runs / "seed=1" / "evaluation.txt").read_text()
    assert train(path) == 0 and train(path, trains=False) == 0
    assert (runs / "seed=1" / "evaluation.txt").read_text() == before
    # Another checkpoint of a longer run is evaluated; what is damaged is written again.
    (runs / "results.parquet").write_bytes(b"PAR1")
    (runs / "seed=1" / "evaluations.json").write_text("{")
    assert train(sweep("seed: [1, 2]", steps=6, more="evaluate: {checkpoints: every 2}\n")) == 0
    assert scored(runs / "seed=1") == scored(runs / "seed=2") == [2, 4, 5, 6]
    assert [row["step"] for row in rows(runs) if row["seed"] == 2] == [2, 4, 5, 6]


def test_what_is_trained_already_is_evaluated_alone(sweep, tmp_path):
    assert train(sweep("seed: [1, 2]", steps=3)) == 0
    assert not (tmp_path / "runs" / "results.parquet").exists()
    path = sweep("seed: [1, 2, 3]", steps=3, more="evaluate: {checkpoints: last, split: test}\n")
    assert train(path, trains=False) == 0
    found = rows(tmp_path / "runs")
    assert [(row["run"], row["step"], row["split"]) for row in found] == [
        ("seed=1", 3, "test"),
        ("seed=2", 3, "test"),
    ]
    assert not (tmp_path / "runs" / "seed=3").exists()


def test_a_failed_evaluation_stops_nothing_else(sweep, tmp_path, capfd):
    more = "evaluate: [{split: fails, checkpoints: last}, {checkpoints: last}]\n"
    path = sweep("seed: [1, 2]", steps=3, more=more)
    assert train(path) == 1
    output, messages = capfd.readouterr()
    assert "2 of 2 done" in output and "(2 rows)" in output
    assert messages.count("evaluation of step 3 (fails): failed") == 2  # Once for each run.
    assert "| primer: [/bold] the split is damaged" in messages
    assert f"{tmp_path}/runs/seed=1/evaluation.txt" in messages
    for seed in (1, 2):
        assert scored(tmp_path / "runs" / f"seed={seed}") == [3]
    assert train(path) == 1  # Tried again.
    assert capfd.readouterr().err.count("(fails): failed") == 2


def test_a_full_disk_is_one_message_and_the_next_command_has_all_results(
    sweep, tmp_path, monkeypatch, capfd
):
    path = sweep("seed: [1, 2]", steps=2, more="evaluate: {checkpoints: last}\n")
    write = whole_files.write

    def full(path, content):
        if path.endswith(".parquet"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    monkeypatch.setattr(whole_files, "write", full)
    assert train(path) == 1
    output, messages = capfd.readouterr()
    assert messages.count("results.parquet cannot be written: [Errno 28] No space left") == 1
    assert "2 of 2 done" in output and "Results" not in output
    monkeypatch.undo()
    assert train(path) == 0
    assert len(rows(tmp_path / "runs")) == 2
    assert scored(tmp_path / "runs" / "seed=1") == [2]


@TWO_PROCESSORS
def test_twelve_runs_survive_kills_with_the_results_of_an_undisturbed_sweep(
    sweep, begin, tmp_path, capfd
):
    path = sweep(
        "gin.behaviour: [waits], seed: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]",
        steps=4,
        more="evaluate: {checkpoints: every 2, split: waits}\n",
    )
    runs = tmp_path / "runs"
    folders = [runs / f"behaviour=waits,seed={seed}" for seed in range(1, 13)]

    # SIGKILL of the sweep while it trains.
    process = begin(path, 2)
    until(lambda: len(steps(folders[2])) >= 2)
    process.kill()
    process.wait()

    # SIGKILL of a run, of both workers' processes, of an evaluation; then of the sweep while it
    # evaluates.
    process = begin(path, 2)
    until(lambda: kill_children(process.pid, 1))
    until(lambda: len(steps(folders[7])) >= 1 and kill_children(process.pid, 2))
    until(lambda: kill_children(process.pid, 1, "eval"))
    until(lambda: sum(len(scored(folder)) for folder in folders) >= 8)
    process.kill()
    process.wait()
    assert (tmp_path / "output1.txt").read_text().count("exit code -9 (killed") == 4

    assert train(path, workers=2) == 0
    output = capfd.readouterr().out
    assert "12 of 12 done" in output
    assert [sorted(set(steps(folder))) for folder in folders] == [[1, 2, 3, 4]] * 12
    assert [outcomes(folder)[-1] for folder in folders] == ["done"] * 12
    for folder in folders:  # No checkpoint was scored twice.
        assert sorted(results_of(folder)) == [2, 4]
    disturbed, found = table(output), rows(runs)
    assert len(disturbed) == 12 and len(found) == 24

    os.rename(runs, tmp_path / "disturbed")
    assert train(path, workers=2) == 0
    assert table(capfd.readouterr().out) == disturbed
    again = rows(runs)
    for row in [*found, *again]:
        for name in OWN:
            row.pop(name)
    assert found == again
