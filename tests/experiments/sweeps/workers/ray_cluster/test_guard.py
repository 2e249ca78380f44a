"""The program between a worker and the program of a run: signals, exit codes, locks."""

import os
import signal
import subprocess
import sys

import pytest

from primer.experiments.sweeps import locks
from primer.experiments.sweeps.workers.ray_cluster import guard
from tests.experiments.sweeps.running import until

WAITS = """
import os, signal, sys, time
def stop(number, frame):
    print("saved", flush=True)
    os._exit(int(sys.argv[1]))
signal.signal(signal.SIGTERM, stop)
print("ready", signal.pthread_sigmask(signal.SIG_BLOCK, ()), flush=True)
time.sleep(60)
"""


@pytest.fixture
def guarded(tmp_path):
    """A function (code, arguments, locks, parent) that begins a guarded program."""
    begun = []

    def start(code, *arguments, files=(), parent=None):
        words = [sys.executable, guard.__file__, str(parent or os.getpid())]
        words += [",".join(map(str, os.sched_getaffinity(0))), os.pathsep.join(files)]
        words += [sys.executable, "-c", code, *arguments]
        with open(tmp_path / "log.txt", "a") as out:
            begun.append(subprocess.Popen(words, stdout=out, stderr=out))
        return begun[-1]

    (tmp_path / "log.txt").touch()
    yield start
    for process in begun:
        process.kill()
        process.wait()


@pytest.fixture
def log(tmp_path):
    return lambda: (tmp_path / "log.txt").read_text().splitlines()


def test_sigterm_is_handed_on_and_the_exit_code_is_that_of_the_program(guarded, log):
    process = guarded(WAITS, "7")
    until(lambda: log())
    process.terminate()
    assert process.wait(20) == 7
    assert log() == ["ready set()", "saved"]


def test_the_program_is_told_when_the_guard_is_killed(guarded, log, tmp_path):
    lock = str(tmp_path / "run.lock")
    process = guarded(WAITS, "7", files=[lock])
    until(lambda: log())
    assert locks._is_held(lock)
    process.kill()
    process.wait()
    until(lambda: log()[-1] == "saved")
    until(lambda: not locks._is_held(lock))


def test_a_signal_of_the_program_is_that_of_the_guard(guarded, log):
    process = guarded("import os; os.kill(os.getpid(), 9)")
    assert process.wait(20) == -signal.SIGKILL
    process = guarded("import os; os.kill(os.getpid(), 11)")
    assert process.wait(20) == -signal.SIGSEGV
    process = guarded("pass", parent=1)  # The worker has ended already.
    assert process.wait(20) == 128 + signal.SIGTERM


def test_it_waits_for_the_end_of_an_earlier_start(guarded, log, tmp_path):
    folder = str(tmp_path)
    lock = locks.take(folder)
    remote = locks.remote_path(lock.path)
    first = guarded(WAITS, "0", files=[remote])
    until(lambda: log())
    second = guarded("print('begins')", files=[remote])
    lock.release()
    # What holds the remote lock alone keeps others from the run.
    assert locks.is_held(folder) and locks.take(folder) is None
    assert second.poll() is None and len(log()) == 1
    first.terminate()
    assert second.wait(20) == 0
    assert log()[1:] == ["saved", "begins"]
    assert not locks.is_held(folder)


def test_a_program_that_cannot_be_started_is_said():
    words = [sys.executable, guard.__file__, str(os.getpid()), "0", "", "/nowhere/program"]
    found = subprocess.run(words, capture_output=True, text=True)
    assert found.returncode == 1
    assert found.stderr == "/nowhere/program cannot be started: No such file or directory\n"
