"""A program that becomes another one, on some processors, and ends with the process that began it.

    python process_start.py PARENT PROCESSORS PROGRAM [ARGUMENT...]

PARENT is the id of the process that begins it, PROCESSORS a list of numbers with commas. When that
process ends, also by SIGKILL, the program gets SIGTERM, at which the engine saves a checkpoint.
Both need Linux and are left out elsewhere. It runs as a file, without site-packages.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(words: list[str]) -> None:
    """Replaces this process by the program.

    Args:
        words: PARENT, PROCESSORS, PROGRAM and its arguments.
    """
    parent, processors, *program = words
    if sys.platform == "linux":
        os.sched_setaffinity(0, {int(number) for number in processors.split(",")})
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # It ended before the line above.
            sys.exit(128 + signal.SIGTERM)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.exit(f"{program[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
