"""Sweeps on a Ray cluster of this machine, with a stand-in for the engine: kills, limits, GPUs."""

import json
import os
import signal

import pytest

from primer.errors import UsageError
from primer.experiments.sweeps import run_record
from tests.experiments.sweeps import twelve_runs
from tests.experiments.sweeps.running import (
    SECONDS,
    engine_of,
    kill_ray_worker,
    outcomes,
    programs,
    steps,
    until,
)
from tests.experiments.sweeps.train_with_stand_in import train

TWO_PROCESSORS = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")


@TWO_PROCESSORS
def test_twelve_runs_survive_kills_with_the_results_of_an_undisturbed_sweep(
    sweep, begin, tmp_path, capfd, address
):
    twelve_runs.survive_kills(sweep, begin, tmp_path, capfd, address)


@TWO_PROCESSORS
def test_a_lost_worker_saves_a_checkpoint_and_its_run_goes_on(sweep, begin, tmp_path, address):
    path = sweep("gin.behaviour: [waits], seed: [1, 2]", steps=40)
    runs = tmp_path / "runs"
    process = begin(path, 2, address)
    folders = [runs / f"behaviour=waits,seed={seed}" for seed in (1, 2)]
    until(lambda: all(len(steps(folder)) >= 3 for folder in folders))
    # Each has a processor of its own.
    own = {(folder / "processors.txt").read_text() for folder in folders}
    assert len(own) == 2 and all(len(json.loads(text.split("]")[0] + "]")) == 1 for text in own)
    # Its engine gets SIGTERM, not SIGKILL as a child of a worker of Ray does.
    assert kill_ray_worker(runs)
    assert process.wait(SECONDS) == 0
    messages = (tmp_path / "output0.txt").read_text()
    assert messages.count("(retry 1 of 3)") == 1 and "2 of 2 done" in messages
    (lost,) = [folder for folder in folders if (folder / "stopped.txt").exists()]
    assert (lost / "stopped.txt").read_text() == str(int(signal.SIGTERM))
    assert outcomes(lost) == ["stopped", "done"]
    starts = json.loads((lost / "run.json").read_text())["starts"]
    assert "actor" in starts[0]["lost"] and "lost" not in starts[1]
    assert starts[0]["host"] == os.uname().nodename and starts[0]["versions"]["primer"]
    assert [steps(folder) for folder in folders] == [list(range(1, 41))] * 2
