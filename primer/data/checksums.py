"""SHA-256 of the files that a run trains on, in its `texts.json`.

    "checksums": {
        "data": "9f86d081...",                  # of the contents of all files, whatever their names
        "files": {"/data/a.txt": [8, 1796000000000000000, "2c26b46b..."]},    # bytes, time, SHA-256
        "bytes_of_ends": null
    }

A file of the same size and time keeps its checksum, so that it is read once for all runs in one
folder. Of more than `LIMIT` bytes in all, only the first and the last `bytes_of_ends` bytes of each
file count, with its size. Which files: texts, records, the shards of prepared data; of TensorFlow
Datasets the description of the prepared data set, which names its version and the size of each
split. Files in buckets are not read.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import seqio

from primer.common import files, user_paths
from primer.data.prepared import cache_checks, manifest
from primer.errors import UsageError

KEY = "checksums"
LIMIT = 2 << 30  # Bytes, which take a few seconds.
_MOST_OF_AN_END = 1 << 20
_BLOCK = 1 << 20
_MOST_SIBLINGS = 32
_TRAIN = "train"

Entry = Sequence[Any]  # [bytes, time of the last change in nanoseconds, checksum].


def files_of(tasks: Sequence[seqio.Task], use_cached: bool) -> list[str]:
    """Returns the local files that training on tasks reads, sorted.

    Args:
        tasks: what is trained on.
        use_cached: whether their prepared data are read.
    """
    found: set[str] = set()
    for task in tasks:
        if use_cached:
            found.update(manifest.split_files(cache_checks.complete_directory(task), _TRAIN))
        elif hasattr(task.source, "identity_files"):
            found.update(task.source.identity_files())
        elif hasattr(task.source, "input_files"):
            found.update(task.source.input_files(_TRAIN))
    return sorted(user_paths.absolute(path) for path in found if not user_paths.is_remote(path))


def describe(paths: Sequence[str], known: Mapping[str, Any], record: str) -> dict[str, Any]:
    """Returns the checksums of files, as `texts.json` has them under KEY.

    Args:
        paths: the files.
        known: what `texts.json` has under KEY, or {}.
        record: the path of that file; others in directories beside its own are looked at.

    Raises:
        UsageError: a file cannot be read.
    """
    try:
        return _description(paths, known, record)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error


def _description(paths: Sequence[str], known: Mapping[str, Any], record: str) -> dict[str, Any]:
    stamps = {path: list(files.stamp(path)) for path in paths}
    ends = _bytes_of_ends([size for size, _ in stamps.values()])
    entries = _reusable(known, stamps, ends)
    if len(entries) < len(stamps):
        entries = {**_of_siblings(record, stamps, ends), **entries}
    for path, stamp in stamps.items():
        if path not in entries:
            entries[path] = [*stamp, _checksum(path, stamp[0], ends)]
    return {"data": of_contents(entries), "files": entries, "bytes_of_ends": ends}


def of_contents(entries: Mapping[str, Entry]) -> str:
    """Returns a checksum of files that does not depend on their names and order."""
    digests = sorted(entry[2] for entry in entries.values())
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns the files that two descriptions have with other contents, sorted."""
    first, second = before.get("files", {}), now.get("files", {})
    if before.get("bytes_of_ends") != now.get("bytes_of_ends"):
        # Other files have come, or gone: only the sizes can be compared.
        return sorted(p for p in first if p in second and first[p][0] != second[p][0])
    return sorted(p for p in first if p in second and first[p][2] != second[p][2])


def is_same(path: str, known: Mapping[str, Any]) -> bool:
    """Returns whether a file has the content that a description knows; False if it has none."""
    entry = known.get("files", {}).get(path)
    if entry is None:
        return False
    size = files.stamp(path)[0]
    return size == entry[0] and _checksum(path, size, known.get("bytes_of_ends")) == entry[2]


def _bytes_of_ends(sizes: Sequence[int]) -> int | None:
    if sum(sizes) <= LIMIT:
        return None
    return max(1, min(_MOST_OF_AN_END, LIMIT // (2 * len(sizes))))


def _checksum(path: str, size: int, ends: int | None) -> str:
    result = hashlib.sha256()
    with open(path, "rb") as file:
        if ends is None or size <= 2 * ends:
            while block := file.read(_BLOCK):
                result.update(block)
        else:
            result.update(f"{size}\n".encode() + file.read(ends))
            file.seek(-ends, os.SEEK_END)
            result.update(file.read(ends))
    return result.hexdigest()


def _reusable(
    known: Mapping[str, Any], stamps: Mapping[str, Sequence[int]], ends: int | None
) -> dict[str, Entry]:
    """Returns the known checksums of files that have the same size and time."""
    entries = known.get("files", {})
    if known.get("bytes_of_ends") != ends or not isinstance(entries, dict):
        return {}
    return {
        path: entries[path]
        for path, stamp in stamps.items()
        if list(entries.get(path, ())[:2]) == list(stamp)
    }


def _of_siblings(
    record: str, stamps: Mapping[str, Sequence[int]], ends: int | None
) -> dict[str, Entry]:
    """Returns checksums that runs in the same folder have recorded, as those of one sweep."""
    if user_paths.is_remote(record):
        return {}
    own, name = os.path.split(record)
    found: dict[str, Entry] = {}
    looked = 0
    with contextlib.suppress(OSError):
        for folder in sorted(os.listdir(os.path.dirname(own) or ".")):
            path = os.path.join(os.path.dirname(own), folder, name)
            if path == record or not os.path.isfile(path):
                continue
            with contextlib.suppress(OSError, ValueError, AttributeError), open(path) as file:
                found |= _reusable(json.load(file).get(KEY, {}), stamps, ends)
            looked += 1
            if len(found) == len(stamps) or looked == _MOST_SIBLINGS:
                break
    return found
