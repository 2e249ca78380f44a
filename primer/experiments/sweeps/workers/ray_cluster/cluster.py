"""The connection to a Ray cluster, and what is checked of it before runs start."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import ray
from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from primer.common import console
from primer.errors import RunError, UsageError
from primer.experiments.sweeps.workers.ray_cluster import node
from primer.experiments.sweeps.workers.ray_cluster.request import Request, as_text

_CONNECT_SECONDS = 10.0
_CHECK_SECONDS = 120.0  # For a node to start a worker, with Python's imports.
_OBJECT_STORE = 80 * 2**20  # Bytes, near Ray's minimum: a sweep stores nothing there.


@contextlib.contextmanager
def connected(request: Request) -> Iterator[str]:
    """Connects this process with the cluster inside the block; yields a line on it.

    Args:
        request: names the cluster, and what a run needs of it.

    Raises:
        UsageError: no cluster answers, or none of its nodes has what a run needs.
        RunError: the connection has failed later.
    """
    place = _initialize(request.address)
    # Ray prints lost workers, which the sweep tells, on standard output, which is for results.
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        try:
            _check_resources(request)
            yield _description(place, request)
        except exceptions.RayError as error:
            raise RunError(
                f"the connection with the Ray cluster has failed ({last_line(error)}); the same "
                "command goes on with what is not done"
            ) from error
        finally:
            with _quiet():
                ray.shutdown()


def _description(place: str, request: Request) -> str:
    has, count = ray.cluster_resources(), len(_alive())
    where = "on this machine alone (no --address)" if place == "local" else f"at {place}"
    nodes_text = f"{count} node{'' if count == 1 else 's'}"
    text = f"Ray cluster {where}: {nodes_text} with {as_text(has)}; {request} for a run"
    if has.get("GPU") and not request.gpus:
        text += "\nRuns use no GPU: set --gpus_per_run"
    return text


def _initialize(address: str | None) -> str:
    """Connects with a cluster; returns its address, or "local" for one that has begun here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    setting, place = _place(address)
    try:
        if place not in ("auto", "local"):
            _connect_once(place)
        own: dict[str, Any] = {
            "num_cpus": len(os.sched_getaffinity(0)),
            "object_store_memory": _OBJECT_STORE,
        }
        with _quiet():
            ray.init(
                address=place,
                log_to_driver=False,
                include_dashboard=False,
                logging_level=logging.CRITICAL,
                **(own if place == "local" else {}),
            )
    # Ray ends a process that cannot connect, with SystemExit.
    except (OSError, RuntimeError, ValueError, SystemExit) as error:
        reason = _reason(error)
        if place == "local":
            raise UsageError(f"--engine ray: Ray does not start here: {reason}") from error
        raise UsageError(
            f"{setting}: no Ray cluster can be reached there ({reason}); expected HOST:PORT of the "
            "head node, as `ray start` prints it, and the command on a node of the cluster"
        ) from error
    return place


def _reason(error: BaseException) -> str:
    """Returns why Ray did not start, as one line."""
    cause: BaseException | None = error
    while cause is not None:
        if "AuthenticationError" in str(cause) or "AuthenticationError" in type(cause).__name__:
            return "it wants a token: set RAY_AUTH_MODE=token, see `ray get-auth-token`"
        cause = cause.__cause__
    if isinstance(error, SystemExit):
        return "what answers is no head node of Ray"
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _place(address: str | None) -> tuple[str, str]:
    """Returns the setting that names a cluster, for messages, and Ray's address of it."""
    if address:
        return f"--address {address}", address
    variable = os.environ.get("RAY_ADDRESS")
    if variable:
        return f"RAY_ADDRESS={variable}", variable
    from ray._private.utils import read_ray_address  # Ray's public functions do not tell it.

    begun = read_ray_address()
    if begun:
        return f"the address {begun} of the last `ray start` on this machine", begun
    return "", "local"


def _connect_once(address: str) -> None:
    """Tries the port of an address: Ray itself tries for two minutes, and ends the process.

    Raises:
        OSError, ValueError: nothing answers, or it is no address.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("not HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Discards what Ray writes to standard error, and keeps this process's handlers of signals."""
    handled = (signal.SIGTERM, signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in handled}
    try:
        with console.redirected_to_log(None, "sweep"):
            yield
    finally:
        for number, handler in before.items() if is_main else ():
            if handler is not None:  # One that C has set.
                signal.signal(number, handler)


def nodes(request: Request) -> list[dict[str, Any]]:
    """Returns the nodes, as `ray.nodes`, on which a run of a sweep has room if it is alone."""
    return [one for one in _alive() if _has_room(one["Resources"], request)]


def _alive() -> list[dict[str, Any]]:
    return [one for one in ray.nodes() if one["Alive"]]


def _has_room(resources: Any, request: Request) -> bool:
    wanted = {"CPU": request.cpus, "GPU": request.gpus}
    return all(resources.get(name, 0) >= count for name, count in wanted.items() if count)


def _check_resources(request: Request) -> None:
    if request.waits_for_nodes or nodes(request):
        return
    found = sorted({as_text(one["Resources"]) for one in _alive()})
    options = f"--cpus_per_run = {request.cpus}"
    options += f", --gpus_per_run = {request.gpus:g}" if request.gpus else ""
    raise UsageError(
        f"{options}: no node of the Ray cluster has {request}; its nodes have "
        f"{', or '.join(found)} (with an autoscaler that starts such nodes: --wait_for_nodes)"
    )


def check_nodes(request: Request, shared: Mapping[str, str]) -> None:
    """Refuses a cluster with nodes that do not see some paths.

    Args:
        request: what a run needs; nodes without that are left out.
        shared: {path: what it is, for the message}.

    Raises:
        UsageError: a node does not see one, or has no Primer.
    """
    check = ray.remote(node.first_missing)
    asked = {}
    for one in nodes(request):
        place = NodeAffinitySchedulingStrategy(one["NodeID"], soft=False)
        reference = check.options(num_cpus=0, scheduling_strategy=place).remote([*shared])
        asked[reference] = f"{one['NodeManagerHostname']} ({one['NodeManagerAddress']})"
    for reference, where in asked.items():
        try:
            missing = ray.get(reference, timeout=_CHECK_SECONDS)
        except exceptions.RayError as error:
            raise UsageError(f"node {where} of the Ray cluster: {last_line(error)}") from error
        if missing is not None:
            raise UsageError(
                f"node {where} of the Ray cluster does not see {shared[missing]}; share it "
                "with all nodes, or keep runs off that node (ray start --num-cpus=0)"
            )


def last_line(error: BaseException) -> str:
    """Returns the last line of an error of Ray, which has the traceback of the other machine."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def free() -> str:
    """Returns what the cluster has and what of it is free, for messages."""
    has, left = as_text(ray.cluster_resources()), as_text(ray.available_resources())
    return has if has == left else f"{has}, of which {left} free"
