"""Data sets that nobody packages: where their files lie, and whether they are what papers used.

    local_data.folder = "/data"       # else the variable PRIMER_DATA_DIR
    local_data.check = True           # sizes and checksums; False to use shortened files
    local_data.block_bytes = 61440    # of a training document, see primer.data.sources.blocks

Below the folder each data set is looked for in subfolders of its usual names, then in the folder
itself. What is checked of each file, and where the numbers come from, is in
`primer.data.sources.local_datasets`.
"""

import dataclasses
import functools
import hashlib
import os

import gin
import tensorflow as tf

from primer.common import files
from primer.data.sources import availability
from primer.data.sources.local_datasets import LocalDataset, LocalFile
from primer.errors import UsageError

DATA_DIR_VARIABLE = "PRIMER_DATA_DIR"

_CHUNK = 1 << 22


@gin.configurable("local_data", module="primer")
@dataclasses.dataclass(frozen=True)
class LocalData:
    """What gin says of all data sets of local files.

    Attributes:
        folder: where they lie, on this machine or in a bucket; None for that of PRIMER_DATA_DIR.
        check: whether files must have the published sizes and checksums.
        block_bytes: the most bytes of a training document of the sets that have no documents of
            their own (enwik8, text8, PTB, LM1B); None for the whole split as one.
    """

    folder: str | None = None
    check: bool = True
    block_bytes: int | None = 61440

    def checked(self) -> "LocalData":
        """Returns itself; raises UsageError for a setting that has no meaning."""
        # Not in __post_init__: gin adds lines of its own to an error that is raised in there.
        if not isinstance(self.check, bool):
            raise UsageError(f"local_data.check is {self.check!r}; expected True or False")
        size = self.block_bytes
        if size is not None and (not isinstance(size, int) or size < 1024):
            raise UsageError(
                f"local_data.block_bytes is {size!r}; expected a number of bytes from 1024 on, or "
                "None for a whole split as one document"
            )
        return self


def data_folder() -> str | None:
    """The folder that holds local data sets, as gin or the environment has it."""
    folder = LocalData().folder or os.environ.get(DATA_DIR_VARIABLE)
    return os.path.expanduser(folder) if folder else None


def find_file(local_set: LocalDataset, file: LocalFile) -> str | None:
    """The path of a file of a data set, or None where it is in none of the usual places."""
    for folder in candidate_folders(local_set):
        for name in file.names:
            path = os.path.join(folder, name)
            if files.obstacle(path) is None and not tf.io.gfile.isdir(path):
                return path
    return None


def candidate_folders(local_set: LocalDataset) -> list[str]:
    """The folders in which the files of a data set may lie."""
    folder = data_folder()
    return [os.path.join(folder, name) for name in (*local_set.folders, "")] if folder else []


def describe_availability(local_set: LocalDataset) -> availability.Availability:
    """Where the files of a data set are; looks at names only, and at no bucket."""
    folder = data_folder()
    if folder is None:
        place = f"local_data.folder, {DATA_DIR_VARIABLE}: not set"
        return availability.Availability("missing", place, hint=local_set.url)
    if availability.is_remote(folder):
        return availability.Availability("not looked at", folder)
    wanted = {file: None for split in local_set.splits.values() for file in split.files}
    found = [find_file(local_set, file) for file in wanted]
    first = next((path for path in found if path), None)
    place = os.path.dirname(first) if first else os.path.join(folder, local_set.folders[0])
    return availability.of_files(found, place, local_set.url)


def check_split(local_set: LocalDataset, split: str) -> None:
    """Raises UsageError unless the files of a split are here, as published; see `paths`."""
    split_paths(local_set, split)


def split_paths(local_set: LocalDataset, split: str) -> list[str]:
    """The files of a split, in order, each of the published size and content.

    Raises:
        UsageError: no folder is set, a file is missing, empty, or another one than published.
    """
    settings = LocalData().checked()
    found = [_require(local_set, file) for file in local_set.splits[split].files]
    if settings.check:
        _check_total(local_set, split, found)
    for file, path in zip(local_set.splits[split].files, found, strict=True):
        if settings.check:
            _check_file(local_set, file, path)
        elif not tf.io.gfile.stat(path).length:
            raise UsageError(f"{path} is empty; expected the text of {local_set.name}")
    return found


def _require(local_set, file) -> str:
    if data_folder() is None:
        raise UsageError(
            f"task {local_set.name} reads {file.names[0]} from a local folder, and "
            f"local_data.folder is not set (nor {DATA_DIR_VARIABLE}); name it with "
            f"--gin_param=\"local_data.folder = '/data'\"; the files come from {local_set.url}"
        )
    path = find_file(local_set, file)
    if path is None:
        names = ", ".join(repr(name) for name in local_set.folders)
        raise UsageError(
            f"no {file.names[0]} of {local_set.name} below {data_folder()} (local_data.folder), "
            f"neither there nor in a subfolder {names}; it comes from {local_set.url}"
        )
    return path


def _check_total(local_set, split, found):
    expected = local_set.splits[split].bytes
    size = sum(tf.io.gfile.stat(path).length for path in found)
    if expected is not None and size != expected:
        raise UsageError(
            f"the {len(found)} files of split {split!r} of {local_set.name} in "
            f"{os.path.dirname(found[0])} have {size:,} bytes; expected {expected:,}; "
            f"{_way_out(local_set)}"
        )


def _check_file(local_set, file, path):
    size = tf.io.gfile.stat(path).length
    if file.bytes is not None and size != file.bytes:
        raise UsageError(
            f"{path} has {size:,} bytes; expected {file.bytes:,}, the size of "
            f"{local_set.name}'s; {_way_out(local_set)}"
        )
    for kind, expected, actual in (
        (file.digest_kind, file.digest, lambda: file_digest(path, file.digest_kind)),
        ("number of words, one per line's end included,", file.words, lambda: word_count(path)),
    ):
        if expected is not None and actual() != expected:
            raise UsageError(
                f"{path} is not {local_set.name}'s: its {kind} is {actual()}; expected {expected}; "
                f"{_way_out(local_set)}"
            )


def _way_out(local_set):
    return (
        f"get it from {local_set.url}, or say local_data.check = False to use a changed or "
        "shortened file, whose results are not comparable"
    )


def file_digest(path: str, kind: str) -> str:
    """The md5, sha1 or sha256 of a file, computed once as long as it does not change."""
    return _digest(path, kind, file_stamp(path))


def word_count(path: str) -> int:
    """Words between white space, and one for each line's end."""
    return _words(path, file_stamp(path))


def file_stamp(path: str) -> tuple[int, int]:
    """What changes with a file's content, with rare exceptions: its size and time."""
    if availability.is_remote(path):
        status = tf.io.gfile.stat(path)
        return status.length, status.mtime_nsec
    # TensorFlow knows full seconds only.
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=1024)
def _digest(path, kind, version) -> str:
    result = hashlib.new(kind)
    with tf.io.gfile.GFile(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            result.update(chunk)
    return result.hexdigest()


@functools.lru_cache(maxsize=64)
def _words(path, version) -> int:
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    return len(content.split()) + content.count(b"\n")
