"""What runs on a node of a Ray cluster: the actor that starts the programs of a sweep.

It imports neither Ray nor TensorFlow. Ray imports it by its name, so a node has Primer installed.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from primer.experiments.sweeps import environment
from primer.experiments.sweeps.workers.ray_cluster import guard

_GPUS = "CUDA_VISIBLE_DEVICES"


def first_missing(paths: Sequence[str]) -> str | None:
    """Returns the first of some paths that this machine does not see, or None."""
    return next((path for path in paths if not os.path.exists(path)), None)


class NodeWorker:
    """A worker: one process at a time, on processors that no other worker of this machine uses.

    Its methods return at once but for `kill`, and Ray calls them one after the other, in its main
    thread: Linux signals the end of the thread that has started a program.

    Args:
        processors: the number of processors of a process.
        gpus: the number of GPUs, which may be a part of one; Ray has set CUDA_VISIBLE_DEVICES.
    """

    def __init__(self, processors: int, gpus: float) -> None:
        self._count = processors
        self._gpus = gpus
        self._process: subprocess.Popen | None = None

    def describe(self, paths: Sequence[str]) -> dict[str, Any]:
        """Returns `environment.describe_machine`, and "missing": `first_missing` of some paths."""
        return {**environment.describe_machine(), "missing": first_missing(paths)}

    def start(
        self,
        words: Sequence[str],
        log: str,
        locks: Sequence[str],
        folder: str,
        variables: Mapping[str, str],
    ) -> None:
        """Starts a program.

        Args:
            words: the program and its arguments.
            log: the file that its output is appended to.
            locks: files that the program locks until its end.
            folder: its working directory.
            variables: environment variables, besides those of this process.

        Raises:
            OSError: it cannot be started.
        """
        numbers, claims = claim_processors(self._count)
        prefix = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid())]
        prefix += [",".join(map(str, numbers)), os.pathsep.join(locks)]
        try:
            with open(log, "ab") as out:
                self._process = subprocess.Popen(
                    [*prefix, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    pass_fds=[claim.fileno() for claim in claims],
                    cwd=folder,
                    env={**os.environ, **variables, **self._resources()},
                    start_new_session=True,
                )
        finally:
            for claim in claims:  # The program holds them until its end.
                claim.close()

    def _resources(self) -> dict[str, str]:
        found = {"OMP_NUM_THREADS": str(self._count)}
        if not self._gpus:
            found[_GPUS] = ""
        elif self._gpus < 1:  # Else the first of several programs would take all of its memory.
            found["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        return found

    def exit_code(self) -> int | None:
        """Returns the exit code of the program, -N after signal N; None while it runs."""
        return self._process.poll() if self._process else None

    def stop(self) -> None:
        """Sends SIGTERM to the program."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)

    def kill(self, seconds: float) -> int | None:
        """Waits some seconds for the end of the program, kills it then; returns its exit code."""
        if self._process is None:
            return None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            # All of its group: the guard alone would leave the program time to save.
            os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait()


def claim_processors(count: int) -> tuple[list[int], list[socket.socket]]:
    """Returns processors of this machine that no other program of a sweep has claimed.

    A claim is a name of Linux' abstract sockets: it is free again when the last process that has
    inherited the socket ends. Where fewer are free, as with more `--num-cpus` of Ray's than
    processors, all are shared.

    Args:
        count: how many.

    Returns:
        Their numbers, and the sockets that hold the claims.
    """
    allowed = sorted(os.sched_getaffinity(0))
    numbers, claims = [], []
    for number in allowed:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0primer-processor-{number}")
        except OSError:
            claim.close()
            continue
        numbers.append(number)
        claims.append(claim)
        if len(numbers) == count:
            return numbers, claims
    for claim in claims:
        claim.close()
    return allowed, []
