"""Training on several hosts over TensorFlow's gRPC runtime, configured by TF_CONFIG.

    TF_CONFIG='{"cluster": {"worker": ["host0:2222", "host1:2222"]},
                "task": {"type": "worker", "index": 0}}'

Every host runs the same command. The first worker is the chief: it reads the data, holds the
client graph and writes checkpoints. The others serve their devices until the chief ends.
TensorFlow's servers have no authentication: keep their ports inside a private network.
"""

import contextlib
import dataclasses
import functools
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping

import tensorflow.compat.v1 as tf

from primer.common import console
from primer.errors import RunError, UsageError
from primer.gin_config.values import bound

JOBS = ("chief", "worker")
# What TensorFlow raises where a host is lost.
LOST_HOST_ERRORS = (tf.errors.UnavailableError, tf.errors.AbortedError)
# Seconds between two connection attempts to another host.
POLL_SECONDS = 1.0
# Seconds without a connection after which a host that has answered before counts as lost.
LOST_SECONDS = 10.0
# Seconds to wait for a host's first answer.
START_SECONDS = 600.0


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The hosts of a run.

    Attributes:
        tasks: (job, index, address) of each host; the first is the chief.
        own_index: the position of this host in `tasks`.
    """

    tasks: tuple[tuple[str, int, str], ...]
    own_index: int

    @property
    def is_chief(self) -> bool:
        """Whether this host is the chief."""
        return self.own_index == 0

    def devices(self) -> list[str]:
        """Returns one TensorFlow device name per host: its first CPU."""
        return [f"/job:{job}/task:{index}/device:CPU:0" for job, index, _ in self.tasks]


def from_environment(environ: Mapping[str, str] = os.environ) -> Cluster | None:
    """Returns the cluster of TF_CONFIG, or None without TF_CONFIG or with fewer than two hosts.

    Raises:
        UsageError: TF_CONFIG is malformed, or its task is not in its cluster.
    """
    text = environ.get("TF_CONFIG")
    if not text:
        return None
    try:
        config = json.loads(text)
        hosts = config.get("cluster", {})
        tasks = tuple(
            (job, index, address)
            for job in JOBS
            for index, address in enumerate(hosts.get(job, []))
        )
        if len(tasks) < 2:
            return None
        task = (config["task"]["type"], int(config["task"]["index"]))
        own_index = [(job, index) for job, index, _ in tasks].index(task)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"TF_CONFIG = {text!r}: expected JSON with the addresses of cluster.worker (or "
            f"cluster.chief) and the type and index of a task among them ({error})"
        ) from None
    return Cluster(tasks, own_index)


def of_this_run() -> Cluster | None:
    """Returns TF_CONFIG's cluster if `utils.run` trains, else None: one host does other work."""
    mode = bound("utils.run.mode", "train")
    trainer = getattr(bound("utils.run.train_model_fn"), "selector", "train_model")
    if mode != "train" or trainer.split(".")[-1] != "train_model":
        return None
    return from_environment()


# Cached because a TensorFlow server cannot be stopped and keeps its port: a second training in the
# same process has to use the first one's server.
@functools.cache
def server(cluster: Cluster) -> tf.train.Server:
    """Returns this host's TensorFlow server, which listens on its port of every interface.

    Raises:
        UsageError: the port cannot be opened.
    """
    job, index, address = cluster.tasks[cluster.own_index]
    spec: dict[str, list[str]] = {}
    for other_job, _, other_address in cluster.tasks:
        spec.setdefault(other_job, []).append(other_address)
    config = tf.ConfigProto()
    own_cpus = _logical_cpus()
    if own_cpus > 1:
        config.device_count["CPU"] = own_cpus
    try:
        return tf.train.Server(
            tf.train.ClusterSpec(spec), job_name=job, task_index=index, config=config
        )
    except tf.errors.OpError as error:
        raise UsageError(
            f"TF_CONFIG: cannot serve on {address} ({str(error).splitlines()[0]}): is the port "
            "in use, or the address not this host's?"
        ) from None


def _logical_cpus() -> int:
    """Returns the CPU devices of `tf.config.set_logical_device_configuration` on this host."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    return len(tf.config.get_logical_device_configuration(cpu) or [cpu])


@functools.cache
def mesh_devices(cluster: Cluster) -> tuple[str, ...]:
    """Returns the devices that the hosts train on: their GPUs if all have one, else their CPUs.

    On the chief. If it has neither a GPU nor several CPU devices, it asks no other host, and each
    trains on one CPU.

    Raises:
        UsageError: the port cannot be opened.
        RunError: a host did not start within START_SECONDS.
    """
    if not tf.config.list_physical_devices("GPU") and _logical_cpus() == 1:
        return tuple(cluster.devices())
    own = server(cluster)
    _wait_for_hosts(cluster)
    with tf.Graph().as_default(), tf.Session(own.target) as session:
        found = [device.name.replace("/replica:0", "") for device in session.list_devices()]
    hosts = [f"/job:{job}/task:{index}/device" for job, index, _ in cluster.tasks]
    gpus, cpus = (
        [[name for name in found if name.startswith(f"{host}:{kind}:")] for host in hosts]
        for kind in ("GPU", "CPU")
    )
    if any(gpus) and not all(gpus):
        addresses = [address for _, _, address in cluster.tasks]
        without = [address for address, own in zip(addresses, gpus, strict=True) if not own]
        console.say_once(f"{', '.join(without)} has no GPU: all hosts train on their CPUs.")
    chosen = gpus if all(gpus) else cpus
    return tuple(name for host in chosen for name in sorted(host, key=_number_of))


def _number_of(device: str) -> int:
    return int(device.rsplit(":", 1)[1])


def _wait_for_hosts(cluster):
    """Waits until all other hosts listen: TensorFlow would wait without end."""
    began = time.monotonic()
    for _, _, address in cluster.tasks[1:]:
        while not _answers(address):
            if time.monotonic() - began > START_SECONDS:
                raise RunError(_not_started_message(address))
            time.sleep(POLL_SECONDS)


def _not_started_message(address: str) -> str:
    return f"the host {address} of TF_CONFIG did not start in {START_SECONDS:.0f} s"


def serve_until_chief_ends(cluster: Cluster) -> None:
    """Serves this host's devices until the chief has started and ended.

    Raises:
        RunError: the chief did not start within START_SECONDS.
    """
    running = server(cluster)
    job, index, address = cluster.tasks[cluster.own_index]
    chief = cluster.tasks[0][2]
    console.say(f"Serving {address} as {job} {index}; the chief is {chief}.")
    chief_started, last_answer = False, time.monotonic()
    while True:
        now = time.monotonic()
        if _answers(chief):
            chief_started, last_answer = True, now
        elif chief_started and now - last_answer > LOST_SECONDS:
            console.say("The chief has ended; this host ends too.")
            del running
            return
        elif now - last_answer > START_SECONDS:
            raise RunError(f"the chief {chief} of TF_CONFIG did not start in {START_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _answers(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=POLL_SECONDS):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def end_when_host_is_lost(cluster: Cluster | None) -> Iterator[None]:
    """On the chief, ends the process with one message when another host is lost.

    A step that waits for a dead host neither returns nor can be interrupted, so the process exits
    without unwinding. This is safe: a checkpoint is complete at any instant.

    Args:
        cluster: the hosts to watch, or None to watch none.

    Raises:
        RunError: TensorFlow reports a lost host inside the block.
    """
    if cluster is None:
        yield
        return
    training_ended = threading.Event()
    thread = threading.Thread(target=_watch_hosts, args=(cluster, training_ended), daemon=True)
    thread.start()
    try:
        yield
    except LOST_HOST_ERRORS as error:
        raise RunError(_lost_host_message(str(error).splitlines()[0])) from error
    finally:
        training_ended.set()


def _watch_hosts(cluster: Cluster, training_ended: threading.Event) -> None:
    last_answers: dict[str, float | None] = {address: None for _, _, address in cluster.tasks[1:]}
    began = time.monotonic()
    while not training_ended.wait(POLL_SECONDS):
        for address, last_answer in last_answers.items():
            now = time.monotonic()
            if _answers(address):
                last_answers[address] = now
            elif training_ended.is_set():
                return
            elif last_answer is not None and now - last_answer > LOST_SECONDS:
                _exit_process(_lost_host_message(address + " does not answer"))
            elif last_answer is None and now - began > START_SECONDS:
                _exit_process(_not_started_message(address))


def _exit_process(message: str) -> None:
    console.say(f"primer: {message}")
    os._exit(RunError.exit_code)


def _lost_host_message(reason: str) -> str:
    return (
        f"a host of TF_CONFIG's cluster is lost ({reason}); start the same command on every host "
        "again, and training resumes from the last checkpoint"
    )
