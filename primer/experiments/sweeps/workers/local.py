"""Workers on this machine, each with processors of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from primer.errors import UsageError
from primer.experiments.sweeps import environment
from primer.experiments.sweeps.locks import Lock
from primer.experiments.sweeps.workers import process_start
from primer.experiments.sweeps.workers.interface import Worker


class LocalProcess:
    """A process of this machine.

    Args:
        process: the process.
    """

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process
        self.lost: str | None = None  # This process is the worker.

    def exit_code(self) -> int | None:
        """As `Process.exit_code`."""
        return self._process.poll()

    def stop(self) -> None:
        """As `Process.stop`."""
        self._process.send_signal(signal.SIGTERM)  # Nothing if it has ended.

    def kill(self, seconds: float) -> None:
        """As `Process.kill`."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class LocalWorker:
    """Some processors of this machine.

    Args:
        numbers: the numbers of the processors.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers
        self.processors = len(numbers)

    def describe(self) -> dict[str, Any]:
        """As `Worker.describe`."""
        return environment.describe_machine()

    def start(self, words: Sequence[str], log: str, locks: Sequence[Lock] = ()) -> LocalProcess:
        """As `Worker.start`."""
        prefix = [sys.executable, "-I", "-S", process_start.__file__]
        prefix += [str(os.getpid()), ",".join(map(str, self._numbers))]
        with open(log, "ab") as out:
            process = subprocess.Popen(
                [*prefix, *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=[lock.number for lock in locks],
                env={**os.environ, "OMP_NUM_THREADS": str(self.processors)},
                # Ctrl-C reaches this process alone, which hands it on once: a second signal would
                # end the engine without a checkpoint.
                start_new_session=True,
            )
        return LocalProcess(process)


class LocalWorkers:
    """The processors of this machine, divided among workers."""

    def __init__(self, count: int) -> None:
        """Divides the processors that this process may use.

        Args:
            count: the number of workers.

        Raises:
            UsageError: there are fewer processors than workers.
        """
        self._free = [LocalWorker(numbers) for numbers in shares(count)]

    def take(self, waiting: int = 1) -> LocalWorker | None:
        """As `Workers.take`."""
        del waiting
        return self._free.pop(0) if self._free else None

    def give_back(self, worker: Worker) -> None:
        """As `Workers.give_back`."""
        assert isinstance(worker, LocalWorker)
        self._free.append(worker)

    def tidy(self) -> None:
        """As `Workers.tidy`: processors need no end."""


def shares(workers: int) -> list[Sequence[int]]:
    """Returns the numbers of the processors of each worker, as equal in number as can be.

    Raises:
        UsageError: there are fewer processors than workers.
    """
    if hasattr(os, "sched_getaffinity"):
        processors = sorted(os.sched_getaffinity(0))
    else:
        processors = list(range(os.cpu_count() or 1))
    if workers > len(processors):
        raise UsageError(
            f"--workers = {workers}: this process may use {len(processors)} processors, and a run "
            "needs one of its own"
        )
    ends = [len(processors) * number // workers for number in range(workers + 1)]
    return [processors[a:b] for a, b in zip(ends, ends[1:])]


@contextlib.contextmanager
def running_on(processors: Sequence[int]) -> Iterator[None]:
    """Has the block run on some processors, as a worker's process does; where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
