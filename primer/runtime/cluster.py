"""Training on several hosts over TensorFlow's gRPC runtime, by the usual TF_CONFIG.

    TF_CONFIG='{"cluster": {"worker": ["host0:2222", "host1:2222"]},
                "task": {"type": "worker", "index": 0}}'

Every host runs the same command. The first worker is the chief: it reads the data, holds the one
client graph and writes checkpoints; the others serve their devices until the chief is gone.
TensorFlow's servers authenticate nobody: keep their ports inside a private network.
"""

import contextlib
import dataclasses
import functools
import json
import os
import socket
import threading
import time

import tensorflow.compat.v1 as tf

from primer.common import console
from primer.errors import RunError, UsageError
from primer.gin_config.values import bound

JOBS = ("chief", "worker")
WATCH_SECONDS = 1.0
# How long the chief's port may be closed before it counts as gone.
GONE_SECONDS = 10.0
# How long a host waits for the chief's first sign of life.
START_SECONDS = 600.0


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The hosts of a run, in order: the first is the chief."""

    tasks: tuple  # of (job, index, address)
    own: int

    @property
    def is_chief(self) -> bool:
        return self.own == 0

    def devices(self):
        """One device per host: its CPU, as TensorFlow names it."""
        return [f"/job:{job}/task:{index}/device:CPU:0" for job, index, _ in self.tasks]


def from_environment(environ=os.environ):
    """The Cluster that TF_CONFIG names, or None where it names none or only one host.

    Raises:
        UsageError: TF_CONFIG cannot be read, or names no task of its own cluster.
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
        own = [(job, index) for job, index, _ in tasks].index(task)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"TF_CONFIG = {text!r}: expected JSON with the addresses of cluster.worker (or "
            f"cluster.chief) and a task of them with type and index ({error})"
        ) from None
    return Cluster(tasks, own)


def of_this_run():
    """The Cluster of TF_CONFIG where gin's run trains; evaluation is one host's work."""
    mode = bound("utils.run.mode", "train")
    trainer = getattr(bound("utils.run.train_model_fn"), "selector", "train_model")
    if mode != "train" or trainer.split(".")[-1] != "train_model":
        return None
    return from_environment()


@functools.cache
def server(cluster):
    """This host's TensorFlow server, on the port that TF_CONFIG gives.

    TensorFlow listens on that port of every interface, whatever the address.
    """
    job, index, address = cluster.tasks[cluster.own]
    spec = {}
    for other, _, host in cluster.tasks:
        spec.setdefault(other, []).append(host)
    try:
        return tf.train.Server(tf.train.ClusterSpec(spec), job_name=job, task_index=index)
    except tf.errors.OpError as error:
        raise UsageError(
            f"TF_CONFIG: {address} cannot be served ({str(error).splitlines()[0]}): is the port "
            "in use, the address this host's?"
        ) from None


def serve(cluster):
    """Serves this host's devices until the chief has come and gone.

    Raises:
        RunError: the chief never came.
    """
    running = server(cluster)
    job, index, address = cluster.tasks[cluster.own]
    chief = cluster.tasks[0][2]
    console.say(f"Serving {address} as {job} {index}; the chief is {chief}.")
    seen, last = False, time.monotonic()
    while True:
        now = time.monotonic()
        if _answers(chief):
            seen, last = True, now
        elif seen and now - last > GONE_SECONDS:
            console.say("The chief has ended: so does this host.")
            del running
            return
        elif now - last > START_SECONDS:
            raise RunError(f"the chief {chief} of TF_CONFIG did not start in {START_SECONDS:.0f} s")
        time.sleep(WATCH_SECONDS)


def _answers(address) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=WATCH_SECONDS):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def watched(cluster):
    """On the chief: ends the process with one message when another host is gone.

    A step that waits for a host that died does not return and cannot be interrupted, so that the
    process leaves without unwinding; checkpoints are whole at any instant.
    """
    if cluster is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(cluster, ended), daemon=True)
    thread.start()
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        raise RunError(_lost(str(error).splitlines()[0])) from error
    finally:
        ended.set()


def _watch(cluster, ended):
    others = {address: None for _, _, address in cluster.tasks[1:]}  # -> when it answered last
    began = time.monotonic()
    while not ended.wait(WATCH_SECONDS):
        for address, last in others.items():
            now = time.monotonic()
            if _answers(address):
                others[address] = now
            elif ended.is_set():
                return
            elif last is not None and now - last > GONE_SECONDS:
                _leave(_lost(address + " does not answer"))
            elif last is None and now - began > START_SECONDS:
                _leave(f"the host {address} of TF_CONFIG did not start in {START_SECONDS:.0f} s")


def _leave(message):
    console.say(f"primer: {message}")
    os._exit(RunError.exit_code)


def _lost(reason) -> str:
    return (
        f"a host of TF_CONFIG's cluster is gone ({reason}); start the same command on every host "
        "again, and training resumes from the last checkpoint"
    )
