"""Runs of a sweep in local processes, with a stand-in for the engine: kills, stops, locks."""

import errno
import os
import signal

import pytest

from primer.errors import UsageError
from primer.experiments.sweeps import run_record
from primer.experiments.sweeps.workers import local
from tests.experiments.sweeps.running import SECONDS, engine_of, outcomes, steps, table, until
from tests.experiments.sweeps.train_with_stand_in import train

TWO_PROCESSORS = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")


@TWO_PROCESSORS
def test_a_failed_run_is_reported_and_does_not_stop_the_others(sweep, tmp_path, capfd):
    path = sweep("gin.behaviour: [trains, fails, empty], seed: [1, 2]")
    assert train(path, workers=2) == 1
    output, messages = capfd.readouterr()
    runs = tmp_path / "runs"
    for seed in (1, 2):
        assert steps(runs / f"behaviour=trains,seed={seed}") == [1, 2, 3, 4, 5]
        assert outcomes(runs / f"behaviour=trains,seed={seed}") == ["done"]
        assert outcomes(runs / f"behaviour=fails,seed={seed}") == ["failed"]
        # It ends with code 0 and has trained nothing.
        assert outcomes(runs / f"behaviour=empty,seed={seed}") == ["failed"]
    assert "2 of 6 done, 4 failed" in output
    assert "exit code 1; the last lines of its log:" in messages
    assert "| primer: [/bold] the loss is NaN" in messages
    # A setting without effect is named once, and is in the logs of the two failed runs.
    assert messages.count("learning_rate = 0.01 has no effect: ") == 1 + 2
    used = {(runs / name / "processors.txt").read_text() for name in os.listdir(runs)}
    shares = [f"{list(share)} {len(share)}\n" for share in local.shares(2)]
    assert used <= set(shares)

    # The same command tries failed runs again, and no others.
    (runs / "behaviour=fails,seed=1" / "model.ckpt-2.index").touch()
    (runs / "behaviour=fails,seed=1" / "checkpoint").write_text(
        'model_checkpoint_path: "/elsewhere/model.ckpt-2"\n'
    )
    assert train(path, workers=2) == 1
    assert outcomes(runs / "behaviour=fails,seed=1") == ["failed", "done"]
    assert outcomes(runs / "behaviour=trains,seed=1") == ["done"]
    assert "3 of 6 done, 3 failed" in capfd.readouterr().out


@TWO_PROCESSORS
def test_kills_lose_nothing_and_the_table_is_that_of_an_undisturbed_sweep(
    sweep, begin, tmp_path, capfd
):
    path = sweep("gin.behaviour: [waits], seed: [1, 2, 3]", steps=30)
    runs = tmp_path / "runs"
    folders = [runs / f"behaviour=waits,seed={seed}" for seed in (1, 2, 3)]

    # SIGKILL of the sweep: its engines get SIGTERM, save a checkpoint, and end.
    process = begin(path, 2)
    until(lambda: len(steps(folders[0])) >= 2 and len(steps(folders[1])) >= 2)
    process.kill()
    process.wait()
    assert len(steps(folders[0])) < 30 and outcomes(folders[0]) == [None]

    # The next one waits for their end. SIGTERM: the engines save, and the code is the signal's.
    process = begin(path, 2)
    until(lambda: len(outcomes(folders[0])) == 2 and len(steps(folders[0])) >= 5)
    process.terminate()
    assert process.wait(SECONDS) == 143
    assert outcomes(folders[0]) == [None, "stopped"]

    # SIGKILL of a run: it failed, and the others go on; the same command again finishes it.
    process = begin(path, 2)
    until(lambda: len(outcomes(folders[0])) == 3 and len(steps(folders[0])) >= 8)
    os.kill(engine_of(folders[0]), signal.SIGKILL)
    assert process.wait(SECONDS) == 1
    assert outcomes(folders[0]) == [None, "stopped", "failed"]
    assert "killed" in (tmp_path / "output2.txt").read_text()
    assert [outcomes(folder)[-1] for folder in folders[1:]] == ["done"] * 2

    assert train(path, workers=2) == 0
    disturbed = table(capfd.readouterr().out)
    assert len(disturbed) == 3
    # No step was trained twice, but those after the last checkpoint of the killed run.
    assert [sorted(set(steps(folder))) for folder in folders] == [list(range(1, 31))] * 3
    assert [steps(folder) for folder in folders[1:]] == [list(range(1, 31))] * 2
    assert outcomes(folders[0]) == [None, "stopped", "failed", "done"]
    assert outcomes(folders[2]) == ["done"]

    os.rename(runs, tmp_path / "disturbed")
    assert train(path, workers=2) == 0
    assert table(capfd.readouterr().out) == disturbed


def test_two_sweeps_at_once_train_each_run_once(sweep, begin, tmp_path):
    path = sweep("gin.behaviour: [waits], seed: [1, 2, 3]", steps=12)
    first, second = begin(path, 1), begin(path, 1)
    assert first.wait(SECONDS) == 0 and second.wait(SECONDS) == 0
    for seed in (1, 2, 3):
        folder = tmp_path / "runs" / f"behaviour=waits,seed={seed}"
        assert steps(folder) == list(range(1, 13)) and outcomes(folder) == ["done"]
    for number in (0, 1):
        assert "3 of 3 done" in (tmp_path / f"output{number}.txt").read_text()


def test_more_steps_go_on_and_other_settings_are_refused(sweep, tmp_path, capfd):
    assert train(sweep("seed: [1, 2]", steps=3)) == 0
    assert train(sweep("seed: [1, 2]", steps=5), index="1") == 0
    assert steps(tmp_path / "runs" / "seed=1") == [1, 2, 3]
    assert steps(tmp_path / "runs" / "seed=2") == [1, 2, 3, 4, 5]
    other = sweep("seed: [1, 2]", steps="5, learning_rate: 1e-3")
    with pytest.raises(UsageError, match="seed=1 was begun with learning_rate = None, and the"):
        train(other)


def test_a_directory_of_something_else_is_refused(sweep, tmp_path):
    path = sweep("seed: [1]")
    (tmp_path / "runs" / "seed=1").mkdir(parents=True)
    (tmp_path / "runs" / "seed=1" / "checkpoint").write_text("")
    with pytest.raises(UsageError, match="has checkpoints and no run.json"):
        train(path)
    (tmp_path / "runs" / "seed=1" / "run.json").write_text("{")
    with pytest.raises(UsageError, match="run.json cannot be read"):
        train(path)


def test_a_full_disk_fails_one_run_in_one_line(sweep, monkeypatch, capfd):
    path, write = sweep("seed: [1, 2]"), run_record.write

    def write_but_for_one(model_dir, record):
        if model_dir.endswith("seed=1"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(model_dir, record)

    monkeypatch.setattr(run_record, "write", write_but_for_one)
    assert train(path) == 1
    output, messages = capfd.readouterr()
    assert "seed=1: cannot be started: [Errno 28] No space left on device" in messages
    assert "1 of 2 done, 1 failed" in output
    monkeypatch.undo()
    assert train(path) == 0
