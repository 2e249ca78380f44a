"""Checks before a long installation that this Python supports it; runs on Python 3.6 and later.

python3 check_python.py constraints/current-py311.txt
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def missing(lock):
    """Returns a one-line message on what this interpreter lacks, or None."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if not os.path.exists(os.path.join(HERE, os.path.basename(lock))):
        track = os.path.basename(lock).split("-")[0]
        supported = "3.10 to 3.13" if track == "current" else "3.10 or 3.11"
        return (
            f"{sys.executable} is Python {version}; the {track} track needs {supported}: "
            "make PYTHON=python3.11 ..."
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return (
            f"{sys.executable} cannot make virtual environments: "
            f"apt-get install python{version}-venv"
        )
    return None


if __name__ == "__main__":
    message = missing(sys.argv[1])
    if message:
        sys.exit("error: " + message)
