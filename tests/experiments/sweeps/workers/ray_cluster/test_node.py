"""What runs on a node, without Ray: processors that are claimed, programs that end."""

import os
import sys

import pytest

from primer.experiments.sweeps.workers.ray_cluster import node
from primer.experiments.sweeps.workers.ray_cluster.request import Request
from tests.experiments.sweeps.running import until

CODE = "import os, time; print(os.environ['OMP_NUM_THREADS'], os.getcwd(), flush=True)"


@pytest.fixture
def names(monkeypatch):
    """Names of processors that no other process claims."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {9001, 9003, 9002})


def test_processors_are_claimed_until_the_end_of_their_program(names):
    first, held = node.claim_processors(2)
    second, others = node.claim_processors(1)
    assert (first, second) == ([9001, 9002], [9003])
    # None is free: all are shared.
    assert node.claim_processors(1) == ([9001, 9002, 9003], [])
    held[0].close()
    third, again = node.claim_processors(1)
    assert third == [9001]
    assert node.claim_processors(4) == ([9001, 9002, 9003], [])
    for claim in [*held, *others, *again]:
        claim.close()


def test_a_program_is_started_stopped_and_killed(tmp_path):
    worker, log = node.NodeWorker(1, 0.5), tmp_path / "log.txt"
    assert worker.exit_code() is None and worker.kill(0) is None
    found = worker.describe([str(tmp_path), "/nowhere", "/nowhere/else"])
    assert found["missing"] == "/nowhere" and found["versions"]["primer"]
    variables = {"PRIMER_TEST": "x"}
    shown = f"{CODE}; print(os.environ['PRIMER_TEST'], os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    worker.start([sys.executable, "-c", shown], str(log), [], str(tmp_path), variables)
    until(lambda: worker.exit_code() is not None)
    assert worker.exit_code() == 0
    assert log.read_text() == f"1 {tmp_path}\nx true\n"

    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {CODE}; time.sleep(60)"
    worker.start([sys.executable, "-c", deaf], str(log), [], str(tmp_path), {})
    until(lambda: len(log.read_text().splitlines()) == 3)
    assert worker.exit_code() is None
    worker.stop()
    assert worker.kill(0.1) == -9 == worker.exit_code()


def test_what_is_asked_for_is_told_in_words():
    assert str(Request()) == "1 CPU"
    assert str(Request(cpus=4, gpus=0.5)) == "4 CPUs and 0.5 GPUs"
    assert str(Request(cpus=4, gpus=1.0)) == "4 CPUs and 1 GPU"
