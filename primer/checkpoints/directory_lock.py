"""One run at a time in a model directory, on this machine or in a bucket."""

import contextlib
import os
import socket
import threading
import time
import uuid

import tensorflow.compat.v1 as tf

from primer.common import console
from primer.errors import UsageError

LOCK_FILE = "in_use.lock"
# Seconds between two signs of life in a remote directory; two that fail to come are a death.
HEARTBEAT_SECONDS = 10.0


@contextlib.contextmanager
def held(model_dir):
    """Holds the directory for the run inside the context.

    Raises:
        UsageError: another run holds it.
    """
    tf.io.gfile.makedirs(model_dir)
    hold = _held_remotely if "://" in str(model_dir) else _held_here
    with hold(str(model_dir)):
        yield


@contextlib.contextmanager
def _held_here(model_dir):
    """The operating system's lock (`flock`): it ends with its process, however that ends."""
    import fcntl  # Not on every system; every system that TensorFlow 2.21 is built for has it.

    with open(os.path.join(model_dir, LOCK_FILE), "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise _refusal(model_dir, lock.read().strip() or "unknown") from None
        except OSError as error:  # Some network file systems have no locks.
            console.say(
                f"{model_dir} cannot be locked ({error.strerror}): start no second run in it"
            )
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextlib.contextmanager
def _held_remotely(model_dir):
    """A file that its owner writes anew every few seconds.

    Object stores have no locks. A file that stays as it is for two beats is a dead run's; clocks
    of different machines are never compared. Two runs that start within the same second may miss
    each other.
    """
    path = os.path.join(model_dir, LOCK_FILE)
    owner = f"{os.getpid()} on {socket.gethostname()}"
    _wait_for_silence(model_dir, path)
    stop = threading.Event()
    _beat(path, owner)
    thread = threading.Thread(target=_keep_beating, args=(path, owner, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with contextlib.suppress(tf.errors.OpError):
            tf.io.gfile.remove(path)


def _wait_for_silence(model_dir, path):
    """Returns at once without a lock, after two beats with a dead run's; refuses a live one."""
    found = _read(path)
    if found is None:
        return
    owner = found.splitlines()[0]
    console.say(
        f"{path} belongs to the process {owner}; waiting {2 * HEARTBEAT_SECONDS:.0f} s to see "
        "whether it is alive"
    )
    end = time.monotonic() + 2 * HEARTBEAT_SECONDS
    while time.monotonic() < end:
        time.sleep(HEARTBEAT_SECONDS / 10)
        now = _read(path)
        if now is None:
            return
        if now != found:
            raise _refusal(model_dir, owner)


def _keep_beating(path, owner, stop):
    while not stop.wait(HEARTBEAT_SECONDS):
        with contextlib.suppress(tf.errors.OpError):  # The network may come back.
            _beat(path, owner)


def _beat(path, owner):
    with tf.io.gfile.GFile(path, "w") as out:
        out.write(f"{owner}\n{uuid.uuid4().hex}\n")


def _read(path):
    """The content of the lock file, or None where there is none."""
    try:
        with tf.io.gfile.GFile(path) as text:
            return text.read() or "unknown"
    except tf.errors.NotFoundError:
        return None


def _refusal(model_dir, owner):
    return UsageError(
        f"model_dir = {model_dir!r} is in use by the process {owner}: wait for it, stop it, or "
        "name another directory"
    )
