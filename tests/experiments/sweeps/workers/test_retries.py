"""Runs and evaluations whose worker is lost, on workers of this machine that are lost."""

import pytest

from primer.experiments.sweeps import expansion, local_runs, sweep_file
from primer.experiments.sweeps.workers import local
from tests.experiments.sweeps.running import outcomes
from tests.experiments.sweeps.train_with_stand_in import EVALUATION, PROGRAM
from tests.experiments.sweeps.twelve_runs import scored


class Display:
    def __init__(self):
        self.messages = []

    def say(self, message):
        self.messages.append(message)

    def update(self, states):
        pass


class LosingWorkers(local.LocalWorkers):
    """One worker, which is lost with some of its processes: `lost` are their numbers."""

    def __init__(self, lost):
        super().__init__(1)
        self._lost = lost
        self._count = 0

    def take(self, waiting=1):
        worker = super().take(waiting)
        if worker is not None:
            worker.start = lambda *arguments: self._start(type(worker), worker, *arguments)
        return worker

    def _start(self, kind, worker, *arguments):
        process = kind.start(worker, *arguments)
        if self._count in self._lost:
            process.stop()
            process.lost = "it is gone"
        self._count += 1
        return process


@pytest.fixture
def train(sweep):
    def train(lost):
        path = sweep("gin.behaviour: [waits]", 20, "evaluate: {checkpoints: last, split: waits}\n")
        found, display = sweep_file.read(path), Display()
        programs = {"program": PROGRAM, "evaluation_program": EVALUATION, "most_retries": 1}
        runs = expansion.expand(found)
        code = local_runs.LocalRuns(found, runs, LosingWorkers(lost), display, **programs).train()
        return code, display.messages

    return train


def test_what_was_lost_goes_on(train, tmp_path):
    code, messages = train({0, 2})
    name = "behaviour=waits"
    assert code == 0
    retry = "its worker was lost: it is gone; it goes on on another one (retry 1 of 1)"
    assert f"{name}: {retry}" in messages and f"{name}: evaluation: {retry}" in messages
    assert outcomes(tmp_path / "runs" / name) == ["stopped", "done"]
    assert scored(tmp_path / "runs" / name) == [20]


def test_what_is_lost_too_often_is_left_to_the_next_command(train, tmp_path):
    code, messages = train({0, 1})
    assert code == 1 and messages[-1].endswith("it is gone; no retry is left (--retries 1)")
    folder = tmp_path / "runs" / "behaviour=waits"
    assert outcomes(folder) == ["stopped", "stopped"]
    code, messages = train({1, 2})
    assert code == 1 and "evaluation of step 20 (waits): failed" in " ".join(messages)
    assert outcomes(folder) == ["stopped", "stopped", "done"] and scored(folder) == []
    assert train(set())[0] == 0 and scored(folder) == [20]
