"""Evaluations beside and after training, with a stand-in: once each, failures, kills, full disk."""

import errno
import os

import pytest

from primer.experiments.sweeps import whole_files
from tests.experiments.sweeps import twelve_runs
from tests.experiments.sweeps.train_with_stand_in import train
from tests.experiments.sweeps.twelve_runs import rows, scored

TWO_PROCESSORS = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")


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
    twelve_runs.survive_kills(sweep, begin, tmp_path, capfd)
