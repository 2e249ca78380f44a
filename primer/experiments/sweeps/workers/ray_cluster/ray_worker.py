"""A worker on a Ray cluster, an actor, and the program that runs on it."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray import exceptions

from primer.experiments.sweeps.locks import Lock, remote_path
from primer.experiments.sweeps.workers.ray_cluster import cluster

ASK_SECONDS = 0.5  # Between two questions for an exit code.
_ANSWER_SECONDS = 30.0  # For an answer of a worker that ends.
_VARIABLES = ("PYTHONPATH", "TF_", "XLA_")  # Beginnings of what programs get of this process.


class RayProcess:
    """A program on a worker of a Ray cluster; with the methods of `interface.Process`.

    Args:
        actor: the worker's actor.
        begun: Ray's reference of its start.
        log: the file of its output.
        host: the name of the node, for messages.
    """

    def __init__(self, actor: Any, begun: Any, log: str, host: str) -> None:
        self.lost: str | None = None
        self._host = host
        self._actor = actor
        self._asked = begun
        self._log = log
        self._code: int | None = None
        self._is_begun = False
        self._next = 0.0

    def exit_code(self) -> int | None:
        """As `Process.exit_code`."""
        if self._code is not None:
            return self._code
        if self._asked is None:
            if time.monotonic() < self._next:
                return None
            self._asked = self._actor.exit_code.remote()
        if not ray.wait([self._asked], timeout=0)[0]:
            return None
        try:
            self._code = ray.get(self._asked)
            self._is_begun = True
        except exceptions.RayError as error:
            self._take_error(error)
        self._asked = None
        self._next = time.monotonic() + ASK_SECONDS
        return self._code

    def _take_error(self, error: exceptions.RayError) -> None:
        if isinstance(error, exceptions.ActorUnavailableError) and self._is_begun:
            return  # The connection is broken for now; the next answer tells.
        if isinstance(error, exceptions.RayTaskError):  # The program cannot be started.
            self._code = 1
            with contextlib.suppress(OSError), open(self._log, "a", encoding="utf-8") as log:
                log.write(f"{cluster.last_line(error)}\n")
            return
        self._lose(error)

    def _lose(self, error: BaseException) -> None:
        self.lost = f"{_reason_of_loss(error)} (node {self._host})"
        self._code = -signal.SIGTERM

    def stop(self) -> None:
        """As `Process.stop`."""
        if self._code is None:
            self._actor.stop.remote()

    def kill(self, seconds: float) -> None:
        """As `Process.kill`."""
        if self.exit_code() is not None:
            return
        try:
            code = ray.get(self._actor.kill.remote(seconds), timeout=seconds + _ANSWER_SECONDS)
            self._code = -signal.SIGKILL if code is None else code
        except exceptions.RayError as error:
            self._lose(error)


def _reason_of_loss(error: BaseException) -> str:
    """Returns why an actor has ended, as one line."""
    if isinstance(error, exceptions.GetTimeoutError):
        return "it does not answer"
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


class RayWorker:
    """A worker on a Ray cluster; with the methods of `interface.Worker`.

    Args:
        actor: its actor, a `node.NodeWorker`.
        processors: the number of its processors.
    """

    def __init__(self, actor: Any, processors: int) -> None:
        self.processors = processors
        self.actor = actor
        self.machine: dict[str, Any] = {}
        self.process: RayProcess | None = None
        self.is_new = True

    def describe(self) -> dict[str, Any]:
        """As `Worker.describe`."""
        return {key: value for key, value in self.machine.items() if key != "missing"}

    def start(self, words: Sequence[str], log: str, locks: Sequence[Lock] = ()) -> RayProcess:
        """As `Worker.start`; what keeps the program from starting is in the log."""
        files = [remote_path(lock.path) for lock in locks]
        variables = {k: v for k, v in os.environ.items() if k.startswith(_VARIABLES)}
        begun = self.actor.start.remote(list(words), log, files, os.getcwd(), variables)
        self.process = RayProcess(self.actor, begun, log, self.machine["host"])
        return self.process
