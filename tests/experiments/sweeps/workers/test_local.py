"""Workers: their processors, their processes, and that the processes end."""

import os
import sys

import pytest

from primer.errors import UsageError
from primer.experiments.sweeps.workers import local
from tests.experiments.sweeps.running import until


def test_processors_are_divided(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3, 5, 7, 9})
    assert local.shares(1) == [[2, 3, 5, 7, 9]]
    assert local.shares(3) == [[2], [3, 5], [7, 9]]
    with pytest.raises(UsageError, match="--workers = 6: this process may use 5 processors"):
        local.shares(6)
    two = local.LocalWorkers(2)
    first, second = two.take(), two.take()
    assert (first.processors, second.processors, two.take()) == (2, 3, None)
    two.give_back(second)
    assert two.take() is second


def test_a_process_writes_its_log_and_is_stopped_and_killed(tmp_path):
    worker, log = local.LocalWorkers(1).take(), tmp_path / "log.txt"
    code = "import os, time; print(os.environ['OMP_NUM_THREADS'], flush=True); time.sleep(60)"
    process = worker.start([sys.executable, "-c", code], str(log))
    until(lambda: log.read_text() == f"{worker.processors}\n")
    assert process.exit_code() is None
    process.stop()
    process.kill(10)
    assert process.exit_code() == -15
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {code}"
    process = worker.start([sys.executable, "-c", deaf], str(log))
    until(lambda: len(log.read_text().splitlines()) == 2)
    process.stop()
    process.kill(0.1)
    assert process.exit_code() == -9
