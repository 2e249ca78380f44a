"""The workers of a sweep on a Ray cluster: when they are asked for, and when they end."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
from ray import exceptions

from primer.errors import RunError, UsageError
from primer.experiments.sweeps.workers.ray_cluster import cluster, node
from primer.experiments.sweeps.workers.ray_cluster.ray_worker import RayWorker
from primer.experiments.sweeps.workers.ray_cluster.request import Request

IDLE_SECONDS = 10.0  # Until a worker that nothing needs gives its resources back to the cluster.
WAIT_SECONDS = 15.0  # Without any worker, until a line says so.
_MOST_REQUESTS = 200  # Workers that are asked for and that the cluster has not started.
_MOST_FAILURES = 5  # Workers in succession that cannot be started.


class RayWorkers:
    """Workers on the cluster that this process is connected with, as a context.

    They are asked for when processes wait, and ended when nothing needs them.
    """

    def __init__(
        self,
        request: Request,
        most: int,
        folder: str,
        programs: Sequence[str],
        say: Callable[[str], None],
    ) -> None:
        """Starts nothing.

        Args:
            request: what each worker has.
            most: the largest number of workers.
            folder: the sweep's output, which all nodes share.
            programs: the paths of programs that all nodes have.
            say: shows a message.
        """
        self._request = request
        self._most = most
        self._folder = folder
        self._programs = programs
        self._say = say
        self._shared: dict[str, str] = {}  # Path that all nodes see -> what it is.
        self._free: list[tuple[float, RayWorker]] = []  # Since when each is free.
        self._asked: dict[Any, RayWorker] = {}  # Reference of its description -> worker.
        self._taken: list[RayWorker] = []
        self._unusable: list[RayWorker] = []  # They keep others from starting on their nodes.
        self._failures = 0
        self._needed = self._waits_since = time.monotonic()
        self._has_said_wait = False

    @contextlib.contextmanager
    def opened(self) -> Iterator["RayWorkers"]:
        """Checks the nodes; ends all workers after the block.

        Raises:
            UsageError: a node does not see what it needs, or the folder cannot be written.
        """
        # Another machine may have an own folder of this name, without this file.
        mark = os.path.join(self._folder, f".shared-{socket.gethostname()}")
        self._shared = {
            mark: f"the sweep's output {self._folder}",
            os.getcwd(): f"the working directory {os.getcwd()}",
            **{path: f"the program {path}" for path in self._programs},
        }
        try:
            os.makedirs(self._folder, exist_ok=True)
            open(mark, "a").close()
        except OSError as error:
            raise UsageError(f"{self._folder} cannot be written: {error.strerror}") from error
        try:
            cluster.check_nodes(self._request, self._shared)
            yield self
        finally:
            for worker in self._all():
                ray.kill(worker.actor)

    def _all(self) -> list[RayWorker]:
        free = [worker for _, worker in self._free]
        return [*free, *self._asked.values(), *self._taken, *self._unusable]

    def take(self, waiting: int = 1) -> RayWorker | None:
        """As `Workers.take`."""
        self._look()
        self._needed = time.monotonic()
        if self._free:
            _, worker = self._free.pop()
            self._taken.append(worker)
            return worker
        room = self._most - len(self._asked) - len(self._taken)
        for _ in range(min(room, waiting - len(self._asked), _MOST_REQUESTS - len(self._asked))):
            self._ask(self._new())
        self._say_wait()
        return None

    def _new(self) -> RayWorker:
        actors = ray.remote(node.NodeWorker)
        options = {"num_cpus": self._request.cpus, "num_gpus": self._request.gpus}
        actor = actors.options(**options).remote(self._request.cpus, self._request.gpus)
        return RayWorker(actor, self._request.cpus)

    def _ask(self, worker: RayWorker) -> None:
        """Asks a worker for its description, which it answers when it is ready."""
        self._asked[worker.actor.describe.remote([*self._shared])] = worker

    def give_back(self, worker: Any) -> None:
        """As `Workers.give_back`."""
        self._taken.remove(worker)
        is_lost = worker.process is not None and worker.process.lost
        worker.process = None
        if is_lost:
            ray.kill(worker.actor)
        else:
            self._ask(worker)  # Packages may have changed, and the worker may have ended.

    def tidy(self) -> None:
        """Looks for new workers, and ends those that nothing has needed for a while."""
        self._look()
        now = time.monotonic()
        idle = [one for one in self._free if now - max(one[0], self._needed) > IDLE_SECONDS]
        for one in idle:
            self._free.remove(one)
            ray.kill(one[1].actor)
        if now - self._needed > IDLE_SECONDS:
            for reference, worker in [*self._asked.items()]:
                if worker.is_new:
                    del self._asked[reference]
                    ray.kill(worker.actor)

    def _look(self) -> None:
        """Takes the answers of workers that are ready."""
        if not self._asked:
            return
        ready, _ = ray.wait([*self._asked], num_returns=len(self._asked), timeout=0)
        for reference in ready:
            worker = self._asked.pop(reference)
            try:
                worker.machine = ray.get(reference)
            except exceptions.RayError as error:
                self._fail(worker, error)
                continue
            self._failures, worker.is_new = 0, False
            if worker.machine["missing"] is None:
                self._free.append((time.monotonic(), worker))
            else:
                self._unusable.append(worker)
                what = self._shared[worker.machine["missing"]]
                self._say(f"node {worker.machine['host']} does not see {what}: it trains nothing")

    def _fail(self, worker: RayWorker, error: BaseException) -> None:
        ray.kill(worker.actor)
        if not worker.is_new:
            return
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            raise RunError(f"the Ray cluster starts no worker: {cluster.last_line(error)}")

    def _say_wait(self) -> None:
        """Says once that there is no worker, and what it would take."""
        if self._taken or not self._asked:
            self._waits_since, self._has_said_wait = time.monotonic(), False
        elif time.monotonic() - self._waits_since > WAIT_SECONDS and not self._has_said_wait:
            self._has_said_wait = True
            need = f"waits for a node of the Ray cluster with {self._request} free"
            self._say(f"{need}; the cluster has {cluster.free()}")
