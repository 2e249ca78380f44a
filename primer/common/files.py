"""Files that may lie on this machine or in a bucket, read with one clear error when they cannot."""

import contextlib
import functools
import os
import socket

import tensorflow as tf

from primer.errors import UsageError

# Where TensorFlow's own retries would start. A firewall that drops packets makes them last minutes.
_BUCKET_HOST = ("storage.googleapis.com", 443)
_PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


@functools.lru_cache(maxsize=1)
def _bucket_obstacle() -> str | None:
    """Says why Google Cloud Storage cannot be reached from here; None where it can, or may."""
    if any(os.environ.get(name) for name in _PROXIES):
        return None  # Only the proxy knows; TensorFlow asks it.
    try:
        socket.create_connection(_BUCKET_HOST, timeout=5).close()
    except OSError as error:
        return f"no connection to {_BUCKET_HOST[0]}: {error}"
    return None


def obstacle(path: str) -> str | None:
    """Says in a few words why nothing at `path` can be read, or returns None when it can."""
    if path.startswith("gs://") and _bucket_obstacle():
        return _bucket_obstacle()
    try:
        return None if tf.io.gfile.exists(path) else "it does not exist"
    except (tf.errors.OpError, OSError) as error:
        return first_line(error)


def first_line(error: Exception) -> str:
    """The first line of an error's message, which is what a reader can use."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    return text.strip().splitlines()[0][:200]


def require(path: str, what: str, way_out: str) -> None:
    """Raises UsageError unless `path` can be read.

    Args:
        path: a file or folder, local or remote.
        what: the setting that named it, as the error should call it.
        way_out: what the reader can do instead.
    """
    reason = obstacle(path)
    if reason:
        raise UsageError(f"{what} {path} cannot be read ({reason}); {way_out}")


def write_whole(path: str, content: bytes) -> None:
    """Writes a file under a temporary name and renames it: whole or not at all.

    Raises:
        UsageError: it cannot be written there.
    """
    temporary = f"{path}.part"
    try:
        tf.io.gfile.makedirs(os.path.dirname(path) or ".")
        with tf.io.gfile.GFile(temporary, "wb") as out:
            out.write(content)
        tf.io.gfile.rename(temporary, path, overwrite=True)
    except (tf.errors.OpError, OSError) as error:
        with contextlib.suppress(tf.errors.OpError, OSError):
            tf.io.gfile.remove(temporary)
        raise UsageError(f"{path} cannot be written: {first_line(error)}") from error
