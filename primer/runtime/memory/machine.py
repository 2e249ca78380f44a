"""The memory of this machine and of this process, in bytes, as Linux tells it; None elsewhere."""

import os
import re
import resource
from collections.abc import Iterator

_STATUS = "/proc/self/status"
_CGROUPS = "/sys/fs/cgroup"


def resident() -> int | None:
    """Returns what this process has in memory now (VmRSS)."""
    return _field(_STATUS, "VmRSS")


def most_resident() -> int | None:
    """Returns the most that this process had in memory since its start or `reset_most` (VmHWM)."""
    return _field(_STATUS, "VmHWM")


def reset_most() -> bool:
    """Makes `most_resident` begin again; returns whether the system allows it."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return False
    return True


def available() -> int | None:
    """Returns what this process can still get: the least of the limits.

    They are the machine's (MemAvailable), those of the process's control groups, versions 1 and 2,
    in which reclaimable files do not count as used, and that of its address space (`ulimit -v`).
    """
    limits = [_field("/proc/meminfo", "MemAvailable"), *_group_limits(), _of_address_space()]
    known = [limit for limit in limits if limit is not None]
    return max(0, min(known)) if known else None


def _of_address_space() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _field(_STATUS, "VmSize")
    return None if soft == resource.RLIM_INFINITY or used is None else soft - used


def _group_limits() -> Iterator[int]:
    """Yields what the process's control groups, and those around them, have left."""
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("", "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = (
                *("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
                "total_inactive_file",
            )
        else:
            continue
        # A container sees its own group as the root, whatever the path says.
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts) + 1):
            folder = os.path.join(_CGROUPS, names[0], *parts[:depth])
            left = _left(folder, *names[1:])
            if left is not None:
                yield left


def _left(folder: str, limit: str, usage: str, reclaimable: str) -> int | None:
    most, used = (_read(os.path.join(folder, name)).strip() for name in (limit, usage))
    if not (most.isdigit() and used.isdigit()):
        return None  # "max", or no such file.
    found = re.search(rf"^{reclaimable} (\d+)$", _read(os.path.join(folder, "memory.stat")), re.M)
    return int(most) - int(used) + (int(found[1]) if found else 0)


def _field(path: str, name: str) -> int | None:
    found = re.search(rf"^{name}:\s+(\d+) kB$", _read(path), re.M)
    return int(found[1]) * 1024 if found else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def as_text(size: float) -> str:
    """Formats bytes: 1395864371 -> "1.30 GiB"."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 2**10:.3g} KiB"
