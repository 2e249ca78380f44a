"""A lock that lets one run at a time use a model directory, on this machine or in a bucket."""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator

import tensorflow.compat.v1 as tf

from primer.common import console, user_paths
from primer.errors import UsageError

LOCK_FILE = "in_use.lock"
# Seconds between two heartbeats in a remote directory; without two in a row the owner is dead.
HEARTBEAT_SECONDS = 10.0


@contextlib.contextmanager
def held(model_dir: str) -> Iterator[None]:
    """A context that holds the lock of a directory.

    Raises:
        UsageError: another run holds it.
    """
    tf.io.gfile.makedirs(model_dir)
    lock = _remote_lock if user_paths.is_remote(str(model_dir)) else _local_lock
    with lock(str(model_dir)):
        yield


@contextlib.contextmanager
def _local_lock(model_dir):
    """The operating system's lock (`flock`), which ends with its process."""
    import fcntl  # Not at the top: some systems that Python runs on do not have it.

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
def _remote_lock(model_dir):
    """A file that its owner rewrites every few seconds, because object stores have no locks.

    A file that does not change for two heartbeats belongs to a dead run; the clocks of different
    machines are never compared. Two runs that start within the same second may both get the lock.
    """
    path = os.path.join(model_dir, LOCK_FILE)
    owner = f"{os.getpid()} on {socket.gethostname()}"
    _refuse_a_live_owner(model_dir, path)
    stop = threading.Event()
    _write_heartbeat(path, owner)
    thread = threading.Thread(target=_write_heartbeats, args=(path, owner, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with contextlib.suppress(tf.errors.OpError):
            tf.io.gfile.remove(path)


def _refuse_a_live_owner(model_dir, path):
    """Returns at once without a lock file, after two heartbeats with that of a dead run."""
    content = _read(path)
    if content is None:
        return
    owner = content.splitlines()[0]
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
        if now != content:
            raise _refusal(model_dir, owner)


def _write_heartbeats(path, owner, stop):
    while not stop.wait(HEARTBEAT_SECONDS):
        with contextlib.suppress(tf.errors.OpError):  # The network may come back.
            _write_heartbeat(path, owner)


def _write_heartbeat(path, owner):
    with tf.io.gfile.GFile(path, "w") as out:
        out.write(f"{owner}\n{uuid.uuid4().hex}\n")


def _read(path):
    """Returns the content of the lock file, or None if there is no such file."""
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
