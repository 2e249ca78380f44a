"""What training and evaluation know of the place where the processes of a sweep run."""

from collections.abc import Sequence
from typing import Any, Protocol

from primer.experiments.sweeps.locks import Lock


class Process(Protocol):
    """A process on a worker.

    Attributes:
        lost: why the process has ended together with its worker, as text; None if it has not. Its
            exit code is that of SIGTERM then, which the program got.
    """

    lost: str | None

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

    def describe(self) -> dict[str, Any]:
        """Returns its machine, as `environment.describe_machine`."""

    def start(self, words: Sequence[str], log: str, locks: Sequence[Lock] = ()) -> Process:
        """Starts a program, which ends with the process that started it.

        Args:
            words: the program and its arguments.
            log: the file that its output is appended to.
            locks: locks that this process holds, and that the program holds too until its end.

        Raises:
            OSError: it cannot be started.
        """


class Workers(Protocol):
    """The workers of a sweep."""

    def take(self, waiting: int = 1) -> Worker | None:
        """Returns a worker without a process, or None.

        Args:
            waiting: how many processes wait for a worker now.
        """

    def give_back(self, worker: Worker) -> None:
        """Makes a worker free again: its process has ended, or was not started."""

    def tidy(self) -> None:
        """Ends what nothing has needed for a while; called several times a second."""
