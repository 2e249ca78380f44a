"""Where the processes of a sweep run: workers, each with processors of its own, on this machine.

`Workers`, `Worker` and `Process` are all that training and evaluation know of the place: another
kind of worker, as on a cluster, has these methods.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Protocol

from primer.errors import UsageError
from primer.experiments.sweeps import process_start


class Process(Protocol):
    """A process on a worker."""

    def exit_code(self) -> int | None:
        """Returns its exit code, -N after signal N; None while it runs."""

    def stop(self) -> None:
        """Sends SIGTERM: the engine saves a checkpoint and ends; a second time, at once."""

    def kill(self, seconds: float) -> None:
        """Waits some seconds for its end, and kills it then."""


class Worker(Protocol):
    """A place for one process at a time.

    Attributes:
        processors: the number of processors that are its own.
    """

    processors: int

    def start(self, words: Sequence[str], log: str, locks: Sequence[int] = ()) -> Process:
        """Starts a program, which ends with the process that started it.

        Args:
            words: the program and its arguments.
            log: the file that its output is appended to.
            locks: file descriptors of locks, which a program of this machine holds until its end.

        Raises:
            OSError: it cannot be started.
        """


class Workers(Protocol):
    """The workers of a sweep."""

    def take(self) -> Worker | None:
        """Returns a worker without a process, or None."""

    def give_back(self, worker: Worker) -> None:
        """Makes a worker free again: its process has ended, or was not started."""


class LocalProcess:
    """A process of this machine.

    Args:
        process: the process.
    """

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

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

    def start(self, words: Sequence[str], log: str, locks: Sequence[int] = ()) -> LocalProcess:
        """As `Worker.start`."""
        prefix = [sys.executable, "-I", "-S", process_start.__file__]
        prefix += [str(os.getpid()), ",".join(map(str, self._numbers))]
        with open(log, "ab") as out:
            process = subprocess.Popen(
                [*prefix, *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=locks,
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

    def take(self) -> LocalWorker | None:
        """As `Workers.take`."""
        return self._free.pop(0) if self._free else None

    def give_back(self, worker: Worker) -> None:
        """As `Workers.give_back`."""
        assert isinstance(worker, LocalWorker)
        self._free.append(worker)


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
