"""Whether the files of a task are on this machine, how large they are, and what brings them.

Looks at names and sizes only. What lies in a bucket is not looked at, so that an answer never waits
for a network.
"""

import dataclasses
import os
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Availability:
    """What is known of a task's files without opening one.

    Attributes:
        state: "here", "in part", "missing", or, in a bucket, "not looked at".
        place: the folder or file, or what names it when there is none.
        bytes: of the files that are here.
        hint: the command or address that brings what is not here; empty where nothing is amiss.
    """

    state: str
    place: str
    bytes: int = 0
    hint: str = ""


def is_remote(path: str) -> bool:
    return "://" in path


def of_files(paths: Iterable[str | None], place: str, way_out: str) -> Availability:
    """Of a known list of local files, None for each that was not found."""
    paths = list(paths)
    found = [path for path in paths if path and os.path.isfile(path)]
    size = sum(os.path.getsize(path) for path in set(found))
    if paths and len(found) == len(paths):
        return Availability("here", place, size)
    return Availability("in part" if found else "missing", place, size, way_out)


def of_folder(folder: str, way_out: str) -> Availability:
    """Of all files of a folder."""
    if is_remote(folder):
        return Availability("not looked at", folder)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return of_files([os.path.join(folder, name) for name in names], folder, way_out)
