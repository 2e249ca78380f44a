"""Locks of the directories of runs: one process trains a run, one evaluates it.

A process holds the operating system's lock of a file, and hands it on to the program that it
starts. The lock ends with the last of the two, also after SIGKILL. A program on another machine
cannot inherit it: it holds the lock of a second file (`remote_path`), whose name is that of the
first one with an ending, and both have to be free.
"""

import dataclasses
import os

# What training holds.
RUN = "run.lock"
_REMOTE = ".remote"


@dataclasses.dataclass(frozen=True)
class Lock:
    """A lock that this process holds.

    Attributes:
        path: its file.
        number: the file descriptor that holds it, here and in processes that inherit it.
    """

    path: str
    number: int

    def release(self) -> None:
        """Releases it, where no other process has inherited it."""
        os.close(self.number)


def take(model_dir: str, name: str = RUN) -> Lock | None:
    """Returns a lock of a directory, which is made; None if another process holds it.

    Args:
        model_dir: the directory of a run.
        name: the name of the lock's file.

    Raises:
        OSError: the directory cannot be written, or its file system has no locks.
    """
    import fcntl  # Not at the top: some systems that Python runs on do not have it.

    os.makedirs(model_dir, exist_ok=True)
    path = os.path.join(model_dir, name)
    number = _locked(path, fcntl.LOCK_EX)
    if number is None:
        return None
    lock = Lock(path, number)
    if _is_held(remote_path(path)):
        lock.release()
        return None
    return lock


def is_held(model_dir: str, name: str = RUN) -> bool:
    """Returns whether a process holds a lock of a directory: RUN while it trains there."""
    path = os.path.join(model_dir, name)
    return _is_held(path) or _is_held(remote_path(path))


def remote_path(path: str) -> str:
    """Returns the file that the program on another machine locks.

    Args:
        path: the file of the lock that the process here holds.
    """
    return path + _REMOTE


def _is_held(path: str) -> bool:
    import fcntl

    if not os.path.exists(path):
        return False
    number = _locked(path, fcntl.LOCK_SH)  # Shared: commands that ask do not disturb others.
    if number is None:
        return True
    os.close(number)
    return False


def _locked(path: str, operation: int) -> int | None:
    import fcntl

    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(number, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        return None
    except BaseException:
        os.close(number)
        raise
    return number
