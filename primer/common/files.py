"""Local and remote files: one clear error when reading fails; written whole or not at all."""

import contextlib
import functools
import io
import json
import os
import re
import socket
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from primer.common import user_paths
from primer.errors import UsageError

# The errors of reading and writing, local and remote.
ERRORS = (tf.errors.OpError, OSError)

# Checked before TensorFlow is: its retries take minutes behind a firewall that drops packets.
_BUCKET_HOST = ("storage.googleapis.com", 443)
_PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


@functools.lru_cache(maxsize=1)  # The network is tried once a process: it can take five seconds.
def _bucket_obstacle() -> str | None:
    """Returns why Google Cloud Storage cannot be reached; None if it can, or may."""
    if any(os.environ.get(name) for name in _PROXIES):
        return None  # TensorFlow connects to the proxy, not to the bucket's host.
    try:
        socket.create_connection(_BUCKET_HOST, timeout=5).close()
    except OSError as error:
        return f"no connection to {_BUCKET_HOST[0]}: {error}"
    return None


def read_obstacle(path: str) -> str | None:
    """Returns in a few words why nothing at `path` can be read, or None if it can be read."""
    if path.startswith("gs://") and _bucket_obstacle():
        return _bucket_obstacle()
    try:
        return None if tf.io.gfile.exists(path) else "it does not exist"
    except ERRORS as error:
        return first_line(error)


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, at most 200 characters."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    return text.strip().splitlines()[0][:200]


def matching_files(directory: str, pattern: str) -> list[str]:
    """Returns the paths of a directory's files, sorted, whose names match a regular expression.

    The directory's own name is never taken for a pattern, as `tf.io.gfile.glob` takes it.

    Args:
        directory: local or remote; without it the result is empty.
        pattern: of the whole name.
    """
    try:
        names = tf.io.gfile.listdir(directory)
    except tf.errors.NotFoundError:
        return []
    names = sorted(name.rstrip("/") for name in names)  # Object stores end folders with a slash.
    return [os.path.join(directory, name) for name in names if re.fullmatch(pattern, name)]


def require_readable(path: str, what: str, hint: str) -> None:
    """Raises UsageError unless `path` can be read.

    Args:
        path: a file or folder, local or remote.
        what: the setting that names it, as the error should call it.
        hint: what the user can do instead.
    """
    reason = read_obstacle(path)
    if reason:
        raise UsageError(f"{what} {path} cannot be read ({reason}); {hint}")


def stamp(path: str) -> tuple[int, int]:
    """Returns a file's size and modification time, which tell whether its content has changed."""
    if user_paths.is_remote(path):
        status = tf.io.gfile.stat(path)
        return status.length, status.mtime_nsec
    # TensorFlow rounds the time to seconds.
    local = os.stat(path)
    return local.st_size, local.st_mtime_ns


def unfinished_path(path: str) -> str:
    """Returns a file's name while it is written: hidden, so that no reader's pattern matches it."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.unfinished")


@contextlib.contextmanager
def written_whole(path: str) -> Iterator[str]:
    """Yields the temporary name of a file that the block writes; renames the file at the end.

    The file then replaces an earlier one of its name. If the block or the renaming fails, the
    earlier file is unchanged and the temporary file is removed.
    """
    unfinished = unfinished_path(path)
    try:
        yield unfinished
        tf.io.gfile.rename(unfinished, path, overwrite=True)
    except BaseException:
        with contextlib.suppress(*ERRORS):
            tf.io.gfile.remove(unfinished)
        raise


def write_whole(path: str, content: str | bytes) -> None:
    """Writes a file whole or not at all; raises the file system's errors (ERRORS)."""
    data = content.encode() if isinstance(content, str) else content
    with written_whole(path) as unfinished, tf.io.gfile.GFile(unfinished, "wb") as out:
        out.write(data)


def write_output(path: str, content: bytes) -> None:
    """Writes a file that the user has named, and makes its folder.

    Raises:
        UsageError: the file cannot be written there.
    """
    try:
        tf.io.gfile.makedirs(os.path.dirname(path) or ".")
        write_whole(path, content)
    except ERRORS as error:
        raise UsageError(f"{path} cannot be written: {first_line(error)}") from error


def pyplot() -> Any:
    """Returns matplotlib's pyplot, imported here for figures in files, which need no display."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as found

    return found


def write_figure(path: str, figure: Any, dpi: int | None = None) -> None:
    """Writes a matplotlib figure that the user has named, by its suffix, and makes its folder.

    Raises:
        UsageError: the file cannot be written there.
    """
    picture = io.BytesIO()
    figure.savefig(picture, dpi=dpi, format=os.path.splitext(path)[1].lstrip(".") or "png")
    write_output(path, picture.getvalue())


def write_json(path: str, data: object) -> None:
    """Writes plain data as JSON, whole or not at all."""
    write_whole(path, json.dumps(data, indent=2, sort_keys=True) + "\n")


def read_json(path: str, hint: str) -> Any:
    """Returns the content of a JSON file, or None if there is no such file.

    Args:
        path: the file.
        hint: what the user can do if it is damaged.

    Raises:
        UsageError: the file is damaged.
    """
    if not tf.io.gfile.exists(path):
        return None
    try:
        with tf.io.gfile.GFile(path) as file:
            return json.loads(file.read())
    except (ValueError, tf.errors.OpError) as error:
        raise UsageError(f"{path} cannot be read ({first_line(error)}); {hint}") from error
