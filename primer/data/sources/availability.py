"""Whether the files of a task are on this machine, how large they are, and how to get them.

Only names and sizes are read. Buckets are not listed, so that no call waits for a network.
"""

import dataclasses
import os
from collections.abc import Iterable

from primer.common import user_paths


@dataclasses.dataclass(frozen=True)
class Availability:
    """What is known about a task's files without opening one.

    Attributes:
        state: "here", "in part", "missing", or "not looked at" for files in a bucket.
        place: the folder or file; where none is set, the name of the setting.
        bytes: size of the files that are here.
        hint: the command or address that provides the missing files; empty if none is missing.
    """

    state: str
    place: str
    bytes: int = 0
    hint: str = ""


def of_files(paths: Iterable[str | None], place: str, hint: str) -> Availability:
    """Describes a list of local files; a path of None stands for a file that was not found."""
    paths = list(paths)
    found = [path for path in paths if path and os.path.isfile(path)]
    size = sum(os.path.getsize(path) for path in set(found))
    if paths and len(found) == len(paths):
        return Availability("here", place, size)
    return Availability("in part" if found else "missing", place, size, hint)


def of_folder(folder: str, hint: str) -> Availability:
    """Describes all files of a folder."""
    if user_paths.is_remote(folder):
        return Availability("not looked at", folder)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return of_files([os.path.join(folder, name) for name in names], folder, hint)
