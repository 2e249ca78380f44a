"""A program between a worker of Ray and the program of a run, so that this one ends in order.

    python guard.py PARENT PROCESSORS LOCKS PROGRAM [ARGUMENT...]

Ray sends SIGKILL to the child processes of a worker that ends. It kills this program: the program
of the run is a child of it, gets SIGTERM then, and saves a checkpoint. When PARENT is killed, or
sends SIGTERM, the program of the run gets SIGTERM too, and the exit code is its own.

LOCKS are paths, separated by the path separator of the system. It waits until they are free: the
program of a worker that was lost may still save a checkpoint. The program of the run inherits the
locks, and all other file descriptors.

It runs as a file, without site-packages, on Linux as workers of Ray do.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.1
_WAIT_SECONDS = 600.0
_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PROCESS_START = os.path.join(_FOLDER, "process_start.py")


def main(words: list[str]) -> None:
    """Runs the program, and exits as it did.

    Args:
        words: PARENT, PROCESSORS, LOCKS, PROGRAM and its arguments.
    """
    parent, processors, locks, *program = words
    children: list[subprocess.Popen] = []

    def stop(number: int, frame: object) -> None:
        del number, frame
        if not children:
            sys.exit(128 + signal.SIGTERM)
        children[0].send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    # Ray blocks SIGINT in its workers, and programs inherit that.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # It ended before the line above.
            sys.exit(128 + signal.SIGTERM)
    for path in filter(None, locks.split(os.pathsep)):
        _lock(path)
    prefix = [sys.executable, "-I", "-S", _PROCESS_START, str(os.getpid()), processors]
    children.append(subprocess.Popen([*prefix, *program], close_fds=False))
    _exit_as(children[0].wait())


def _lock(path: str) -> None:
    """Locks a file until the end of this process and of its child."""
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.set_inheritable(number, True)
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                sys.exit(f"{path} is locked: a process of an earlier start has not ended")
        time.sleep(_POLL_SECONDS)


def _exit_as(code: int) -> None:
    """Ends this process with the exit code, or by the signal, of its child."""
    if code < 0:
        if code != -signal.SIGKILL:  # Which has no handler.
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
