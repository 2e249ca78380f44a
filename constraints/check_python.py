"""Says before a long installation what this Python lacks for it; runs on any Python 3.

python3 check_python.py constraints/current-py311.txt
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def missing(lock):
    """Returns the one-line complaint about this interpreter, or None."""
    version = "%d.%d" % sys.version_info[:2]
    if not os.path.exists(os.path.join(HERE, os.path.basename(lock))):
        track = os.path.basename(lock).split("-")[0]
        wanted = "3.10 to 3.13" if track == "current" else "3.10 or 3.11"
        return "%s is Python %s; the %s track needs %s: make PYTHON=python3.11 ..." % (
            sys.executable, version, track, wanted,
        )  # fmt: skip
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return "%s cannot make virtual environments: apt-get install python%s-venv" % (
            sys.executable, version,
        )  # fmt: skip
    return None


if __name__ == "__main__":
    complaint = missing(sys.argv[1])
    if complaint:
        sys.exit("error: " + complaint)
