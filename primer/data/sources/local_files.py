"""Finds the files of local data sets and checks that they are the published ones.

    local_data.folder = "/data"       # else the variable PRIMER_DATA_DIR
    local_data.check = True           # sizes and checksums; False to use shortened files
    local_data.block_bytes = 61440    # of a training document, see primer.data.sources.blocks

The files of a data set are searched for in the subfolders that commonly hold them, then in the
folder itself. `primer.data.sources.local_datasets` lists what is checked of each file and the
sources of the numbers.
"""

import dataclasses
import functools
import hashlib
import os

import gin
import tensorflow as tf

from primer.common import files, path_settings, user_paths
from primer.data.sources import availability
from primer.data.sources.local_datasets import LocalDataset, LocalFile
from primer.errors import UsageError

DATA_DIR_VARIABLE = "PRIMER_DATA_DIR"

_CHUNK = 1 << 22


path_settings.declare("local_data.folder")


@gin.configurable("local_data", module="primer")
@dataclasses.dataclass(frozen=True)
class LocalData:
    """Gin's settings of all local data sets.

    Attributes:
        folder: the folder that holds them, local or in a bucket; None for PRIMER_DATA_DIR.
        check: whether files must have the published sizes and checksums.
        block_bytes: maximum bytes of a training document of the data sets without documents
            (enwik8, text8, PTB, LM1B); None for the whole split as one document.
    """

    folder: str | None = None
    check: bool = True
    block_bytes: int | None = 61440

    def checked(self) -> "LocalData":
        """Returns itself; raises UsageError for an invalid setting."""
        # Not in __post_init__: gin appends lines to an error that is raised there.
        if not isinstance(self.check, bool):
            raise UsageError(f"local_data.check is {self.check!r}; expected True or False")
        size = self.block_bytes
        if size is not None and (not isinstance(size, int) or size < 1024):
            raise UsageError(
                f"local_data.block_bytes is {size!r}; expected a number of bytes of 1024 or more, "
                "or None for a whole split as one document"
            )
        return self


def data_folder() -> str | None:
    """Returns the folder of local data sets that gin or the environment sets, or None."""
    folder = LocalData().folder or os.environ.get(DATA_DIR_VARIABLE)
    return user_paths.expand(folder) if folder else None


def find_file(local_set: LocalDataset, file: LocalFile) -> str | None:
    """Returns the path of a file of a data set, or None if no candidate folder has it."""
    for folder in candidate_folders(local_set):
        for name in file.names:
            path = os.path.join(folder, name)
            if files.read_obstacle(path) is None and not tf.io.gfile.isdir(path):
                return path
    return None


def candidate_folders(local_set: LocalDataset) -> list[str]:
    """Returns the folders in which the files of a data set are searched for."""
    folder = data_folder()
    return [os.path.join(folder, name) for name in (*local_set.folders, "")] if folder else []


def describe_availability(local_set: LocalDataset) -> availability.Availability:
    """Describes where the files of a data set are; reads names and sizes only, and no bucket."""
    folder = data_folder()
    if folder is None:
        place = f"local_data.folder, {DATA_DIR_VARIABLE}: not set"
        return availability.Availability("missing", place, hint=local_set.url)
    if user_paths.is_remote(folder):
        return availability.Availability("not looked at", folder)
    # A dictionary drops repeated files and keeps the order.
    files_of_set = {file: None for split in local_set.splits.values() for file in split.files}
    found = [find_file(local_set, file) for file in files_of_set]
    first = next((path for path in found if path), None)
    place = os.path.dirname(first) if first else os.path.join(folder, local_set.folders[0])
    return availability.of_files(found, place, local_set.url)


def check_split(local_set: LocalDataset, split: str) -> None:
    """Raises UsageError unless the files of a split exist, as published; see `split_paths`."""
    split_paths(local_set, split)


def split_paths(local_set: LocalDataset, split: str) -> list[str]:
    """Returns the paths of a split's files, in order, after checking their size and content.

    Raises:
        UsageError: no folder is set, or a file is missing, empty or not the published one.
    """
    settings = LocalData().checked()
    found = [_require_file(local_set, file) for file in local_set.splits[split].files]
    if settings.check:
        _check_total(local_set, split, found)
    for file, path in zip(local_set.splits[split].files, found, strict=True):
        if settings.check:
            _check_file(local_set, file, path)
        elif not tf.io.gfile.stat(path).length:
            raise UsageError(f"{path} is empty; expected the text of {local_set.name}")
    return found


def _require_file(local_set, file) -> str:
    if data_folder() is None:
        raise UsageError(
            f"task {local_set.name} reads {file.names[0]} from a local folder, and "
            f"local_data.folder is not set (nor {DATA_DIR_VARIABLE}); set it with "
            f"--gin_param=\"local_data.folder = '/data'\"; get the files from {local_set.url}"
        )
    path = find_file(local_set, file)
    if path is None:
        names = ", ".join(repr(name) for name in local_set.folders)
        raise UsageError(
            f"no {file.names[0]} of {local_set.name} below {data_folder()} (local_data.folder), "
            f"neither there nor in a subfolder {names}; get it from {local_set.url}"
        )
    return path


def _check_total(local_set, split, found):
    expected = local_set.splits[split].bytes
    size = sum(tf.io.gfile.stat(path).length for path in found)
    if expected is not None and size != expected:
        raise UsageError(
            f"the {len(found)} files of split {split!r} of {local_set.name} in "
            f"{os.path.dirname(found[0])} have {size:,} bytes; expected {expected:,}; "
            f"{_hint(local_set)}"
        )


def _check_file(local_set, file, path):
    size = tf.io.gfile.stat(path).length
    if file.bytes is not None and size != file.bytes:
        raise UsageError(
            f"{path} has {size:,} bytes; expected {file.bytes:,}, the size of "
            f"{local_set.name}'s; {_hint(local_set)}"
        )
    for kind, expected, actual in (
        (file.digest_kind, file.digest, lambda: file_digest(path, file.digest_kind)),
        ("number of words, one per line's end included,", file.words, lambda: word_count(path)),
    ):
        if expected is not None and actual() != expected:
            raise UsageError(
                f"{path} is not {local_set.name}'s: its {kind} is {actual()}; expected {expected}; "
                f"{_hint(local_set)}"
            )


def _hint(local_set):
    return (
        f"get it from {local_set.url}, or set local_data.check = False to use a changed or "
        "shortened file, whose results are not comparable"
    )


def file_digest(path: str, kind: str) -> str:
    """Returns the md5, sha1 or sha256 of a file; computed again only when the file changes."""
    return _digest(path, kind, files.stamp(path))


def word_count(path: str) -> int:
    """Returns the number of words separated by white space, plus one for each line end."""
    return _words(path, files.stamp(path))


@functools.lru_cache(maxsize=1024)
def _digest(path, kind, stamp) -> str:
    del stamp  # Part of the cache's key only.
    result = hashlib.new(kind)
    with tf.io.gfile.GFile(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            result.update(chunk)
    return result.hexdigest()


@functools.lru_cache(maxsize=64)
def _words(path, stamp) -> int:
    del stamp  # Part of the cache's key only.
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    return len(content.split()) + content.count(b"\n")
